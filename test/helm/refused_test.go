package helm

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/helm/chart"
)

func TestRefused(t *testing.T) {
	const files = "certFile: /a, keyFile: /b"
	for values, want := range map[string]string{
		"image: {repository: ghcr.io/kedify/otel-add-on}":                                      "image.repository: ghcr.io/kedify/otel-add-on is otel-add-on's image, which this chart can't run: remove image",
		"settings: {metricStore: {lazySeries: true}}":                                          "settings.metricStore.lazySeries: every series is stored when it arrives: bound them with settings.metricStore.maxSeries instead",
		"settings: {metricStore: {lazyAggregates: true}}":                                      "settings.metricStore.lazyAggregates: aggregates are computed from the samples when they are asked for, never stored: remove it",
		"settings: {metricStoreRetentionSeconds: 90}":                                          "settings.metricStoreRetentionSeconds: write settings.metricStore.retentionSeconds: 90",
		"settings: {isActivePollingIntervalMilliseconds: 100}":                                 "settings.isActivePollingIntervalMilliseconds: streams are driven by the data and send a change as it happens: remove it",
		"settings: {logs: {stackTracesLvl: panic}}":                                            "settings.logs.stackTracesLvl: stacks are logged where a call panicked, and nowhere else: remove it",
		"deployScaler: false":                                                                  "deployScaler: the scaler is all that this chart deploys",
		"otelOperatorCrs: [{enabled: false}, {enabled: true}]":                                 "otelOperatorCrs[1]: this chart makes no OpenTelemetryCollector: set enabled: false",
		"otelOperator: {enabled: true}":                                                        "otelOperator: this chart brings no chart of OpenTelemetry's",
		"otelCollector: {enabled: true}":                                                       "otelCollector: this chart brings no chart of OpenTelemetry's",
		"opentelemetry-operator: {enabled: true}":                                              "opentelemetry-operator: this chart brings no chart of OpenTelemetry's",
		"opentelemetry-collector: {enabled: true}":                                             "opentelemetry-collector: this chart brings no chart of OpenTelemetry's",
		"webhook: {caBundle: -----BEGIN CERTIFICATE-----}":                                     "webhook.caBundle: it is for a certificate of your own: add webhook.secretName",
		"webhook: {secretName: a}":                                                             "webhook.secretName: the API server has to know who issued it: add webhook.caBundle",
		"webhook: {enabled: true, failurePolicy: Fail}":                                        "webhook.failurePolicy: Helm's certificate is a new one at every upgrade",
		"settings: {tls: {certFile: /a}}":                                                      "settings.tls.certFile: there is no key for it: add settings.tls.keyFile",
		"settings: {tls: {keyFile: /a}}":                                                       "settings.tls.keyFile: there is no certificate for it: add settings.tls.certFile",
		"settings: {tls: {caFile: /a}}":                                                        "settings.tls.caFile: senders can be asked for certificates only over TLS",
		"settings: {tls: {keda: {certFile: /a}}}":                                              "settings.tls.keda.certFile: it has no effect while settings.tls.keda.enabled is false",
		"settings: {tls: {http: {caFile: /a}}}":                                                "settings.tls.http.caFile: it has no effect while settings.tls.http.enabled is false",
		"settings: {tls: {keda: {enabled: true}}}":                                             "settings.tls.keda.enabled: there is no certificate: add settings.tls.certFile and keyFile, or settings.tls.keda's own",
		"settings: {tls: {http: {enabled: true, certFile: /a}}}":                               "settings.tls.http.certFile: there is no key for it",
		"settings: {tls: {certificate: {enabled: true}, " + files + "}}":                       "settings.tls.certificate.issuerRef: say who issues the certificate",
		"settings: {tls: {certificate: {enabled: true, issuerRef: {name: a}}, " + files + "}}": "settings.tls.certificate: no port uses it: set settings.tls.certFile: /etc/keda-otel-scaler/tls/tls.crt",
		"podDisruptionBudget: {enabled: true, minAvailable: 1, maxUnavailable: 0}":             "podDisruptionBudget: Kubernetes takes minAvailable or maxUnavailable, not both",
		"{serviceMonitor: {enabled: true}, podMonitor: {enabled: true}}":                       "podMonitor: with serviceMonitor, every pod would be scraped twice",
		"{networkPolicy: {enabled: true}, settings: {tracesEndpoint: http://a:4317}}":          "networkPolicy.egress: nothing may go out, so no span would reach settings.tracesEndpoint: add a rule for it",
		"resources: {limits: {memory: 1Zi}}":                                                   "resources.limits.memory: 1Zi: want a quantity such as 1Gi",

		// What the schema says.
		"replicas: 2": "replicas",
		"settings: {metricStore: {retention: 5m}}":       "retention",
		"settings: {metricStore: {retentionSeconds: 0}}": "retentionSeconds",
		"settings: {metricStore: {onMissing: hope}}":     "onMissing",
		"settings: {metricStore: {valueIfNotFound: -1}}": "valueIfNotFound",
		"settings: {metricStore: {warmUp: soon}}":        "warmUp",
		"settings: {metricStore: {maxRetention: soon}}":  "maxRetention",
		"settings: {logs: {logLvl: panic}}":              "logLvl",
		"settings: {tls: {minVersion: \"1.1\"}}":         "minVersion",
		"settings: {tls: {secrets: [{name: a}]}}":        "mountPath",
		"service: {otlpReceiverPort: 70000}":             "otlpReceiverPort",
		"image: {digest: latest}":                        "digest",
		"extraArgs: [http-sum-selectors]":                "extraArgs",
		"settings: {enforceNamespaceLabel: k8s.ns}":      "enforceNamespaceLabel",
		"webhook: {failurePolicy: Maybe}":                "failurePolicy",
		"webhook: {caBundle: LS0tLS1CRUdJTg==}":          "caBundle",
	} {
		_, err := chart.Render(chartDir, values, release)
		require.ErrorContains(t, err, want, values)
	}
}

func TestPolicyNeedsKubernetesThatHasThem(t *testing.T) {
	old := chart.Release{Name: "keda-otel-scaler", Namespace: "keda", Kubernetes: "v1.29.4"}
	_, err := chart.Render(chartDir, "validatingAdmissionPolicy: {enabled: true}", old)
	require.ErrorContains(t, err, "validatingAdmissionPolicy: Kubernetes has them from 1.30 on, and this is v1.29.4: set enabled: false, and webhook.enabled: true instead")
	_, err = chart.Render(chartDir, "webhook: {enabled: true}", old)
	require.NoError(t, err)
}

func TestAllFaultsAtOnce(t *testing.T) {
	_, err := chart.Render(chartDir, "{deployScaler: false, otelOperator: {enabled: true}}", release)
	require.ErrorContains(t, err, "deployScaler:")
	require.ErrorContains(t, err, "otelOperator:")
}

// TestSchemaKnowsEveryValue walks values.yaml: what it shows the schema
// describes, and no object takes a name that nobody knows.
func TestSchemaKnowsEveryValue(t *testing.T) {
	type node struct {
		Type                 any
		Properties           map[string]json.RawMessage
		AdditionalProperties any
	}
	var values map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(read(t, chartDir+"/values.yaml")), &values))
	var walk func(path string, schema json.RawMessage, value map[string]any)
	walk = func(path string, schema json.RawMessage, value map[string]any) {
		var n node
		require.NoError(t, json.Unmarshal(schema, &n), path)
		if n.Properties == nil {
			return // Kubernetes' own, or names that are the user's
		}
		require.Equal(t, false, n.AdditionalProperties, path)
		for _, name := range slices.Sorted(maps.Keys(value)) {
			property, ok := n.Properties[name]
			require.True(t, ok, "%s.%s is not in the schema", path, name)
			if below, ok := value[name].(map[string]any); ok {
				walk(path+"."+name, property, below)
			}
		}
	}
	walk("", json.RawMessage(read(t, chartDir+"/values.schema.json")), values)
}

// TestNames are the rules of helm create, by which the Service's name is the
// release's.
func TestNames(t *testing.T) {
	for _, tc := range []struct{ release, values, want string }{
		{"keda-otel-scaler", "", "keda-otel-scaler"},
		{"my-keda-otel-scaler", "", "my-keda-otel-scaler"},
		{"otel", "", "otel-keda-otel-scaler"},
		{"otel", "nameOverride: scaler", "otel-scaler"},
		{"otel", "fullnameOverride: keda-otel-scaler", "keda-otel-scaler"},
	} {
		rendered, err := chart.Render(chartDir, tc.values, chart.Release{Name: tc.release, Namespace: "keda"})
		require.NoError(t, err)
		var service struct{ Metadata struct{ Name string } }
		require.NoError(t, yaml.Unmarshal([]byte(rendered.Objects[1]), &service))
		require.Equal(t, tc.want, service.Metadata.Name)
		require.Contains(t, rendered.Notes, tc.want+".keda.svc:4317")
	}
}
