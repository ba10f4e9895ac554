package kserve

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	// page is the user's page of KServe's documentation.
	page = "../e2e/testdata/kserve-keda-autoscaling.md"
	// options is an InferenceService with all that KServe hands on.
	options = "../../cmd/keda-otel-scaler/testdata/render/options.yaml"
)

type renderCase struct {
	name, text string
	config     map[string]string // entries of KServe's ConfigMap
}

// service is an InferenceService with a predictor that needs no runtime. The
// component's lines stand under spec.predictor.
func service(component, annotations string) string {
	indent := func(text, by string) string {
		return by + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+by)
	}
	if annotations == "" {
		annotations = "serving.kserve.io/deploymentMode: Standard\nserving.kserve.io/autoscalerClass: keda\nsidecar.opentelemetry.io/inject: model-predictor"
	}
	return "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata:\n  name: model\n  namespace: models\n" +
		"  labels:\n    team: a\n  annotations:\n" + indent(annotations, "    ") +
		"\nspec:\n  predictor:\n    containers:\n    - name: kserve-container\n      image: model\n" + indent(component, "    ") + "\n"
}

func metrics(lines string) string {
	return "minReplicas: 1\nmaxReplicas: 5\nautoScaling:\n  metrics:\n    " + strings.ReplaceAll(strings.TrimSpace(lines), "\n", "\n    ")
}

const podMetric = `- type: PodMetric
  podmetric:
    metric: {backend: opentelemetry, metricNames: ["vllm:num_requests_running"], query: "vllm:num_requests_running"}
    target: {type: Value, value: "4"}`

func cases(t *testing.T) []renderCase {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	var all []renderCase
	for _, block := range regexp.MustCompile("(?s)```yaml\n(apiVersion.*?)```").FindAllSubmatch(text, -1) {
		all = append(all, renderCase{name: "the page's " + strings.Fields(string(block[1]))[1] + " " + string(rune('1'+len(all))), text: string(block[1])})
	}
	require.Len(t, all, 3)
	text, err = os.ReadFile(options)
	require.NoError(t, err)
	all = append(all, renderCase{name: "every option", text: string(text)})
	with := func(name, component, annotations string) {
		all = append(all, renderCase{name: name, text: service(component, annotations)})
	}
	with("a pod's metric", metrics(podMetric), "")
	with("operationOverTime and an address", metrics(`
- type: PodMetric
  podmetric:
    metric: {backend: opentelemetry, serverAddress: "other.ns.svc:4318", metricNames: [x], query: x, operationOverTime: rate}
    target: {type: AverageValue, value: "500m", averageValue: "1"}`), "")
	with("a query with a function", metrics(`
- type: PodMetric
  podmetric:
    metric: {backend: opentelemetry, metricNames: [x], query: "rate(x[1m])"}
    target: {type: Value, value: 7}`), "")
	with("a number with a fraction that is none", metrics(`
- type: PodMetric
  podmetric:
    metric: {backend: opentelemetry, metricNames: [x], query: x}
    target: {type: Value, value: 4.0}`), "")
	with("several metrics of every kind", metrics(podMetric+`
- type: Resource
  resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
- type: Resource
  resource: {name: memory, target: {type: AverageValue, averageValue: 1Gi}}
- type: Resource
  resource: {name: memory, target: {type: Utilization, averageUtilization: 60}}
- type: External
  external:
    metric: {backend: prometheus, serverAddress: "http://p:9090", query: "sum(x)", namespace: models}
    target: {type: Value, value: "100.50"}
    authenticationRef: {authModes: "basic,tls", authenticationRef: {name: secret}}
- type: External
  external:
    metric: {backend: graphite, serverAddress: "http://g", query: "y", namespace: models}
    target: {type: Value, value: "2"}
- type: PodMetric
  podmetric:
    metric: {backend: opentelemetry, metricNames: [z, z2], query: z}
    target: {type: Value, value: "0.6"}`), "")
	with("scale to zero", strings.Replace(metrics(podMetric), "minReplicas: 1", "minReplicas: 0", 1), "")
	with("no bounds", strings.NewReplacer("minReplicas: 1\n", "", "maxReplicas: 5\n", "").Replace(metrics(podMetric)), "")
	with("no maximum", strings.Replace(metrics(podMetric), "maxReplicas: 5\n", "", 1), "")
	with("windows, and policies that are lost", metrics(podMetric)+`
  behavior:
    scaleUp: {stabilizationWindowSeconds: 7, policies: [{type: Pods, value: 1, periodSeconds: 60}]}
    scaleDown: {stabilizationWindowSeconds: 600}`, "")
	with("no metric names", metrics(strings.Replace(podMetric, `metricNames: ["vllm:num_requests_running"], `, "", 1)), "")
	with("labels and annotations of the part", metrics(podMetric)+`
labels: {team: b, tier: gold}
annotations: {sidecar.opentelemetry.io/inject: "true", prometheus.kserve.io/port: "9000", x: "y"}`, "")
	with("a deprecated mode", metrics(podMetric), "serving.kserve.io/deploymentMode: RawDeployment\nserving.kserve.io/autoscalerClass: keda\nsidecar.opentelemetry.io/inject: model-predictor")
	with("annotations that are kept back", metrics(podMetric), "serving.kserve.io/deploymentMode: Standard\nserving.kserve.io/autoscalerClass: keda\nsidecar.opentelemetry.io/inject: model-predictor\n"+
		"autoscaling.knative.dev/min-scale: \"1\"\nkubectl.kubernetes.io/last-applied-configuration: x\nmodelFormat: y")
	all = append(all,
		renderCase{name: "a transformer", text: service(metrics(podMetric), "") + `  transformer:
    minReplicas: 2
    maxReplicas: 4
    containers:
    - name: kserve-container
      image: transformer
    annotations: {sidecar.opentelemetry.io/inject: model-transformer}
    autoScaling:
      metrics:
        - type: PodMetric
          podmetric:
            metric: {backend: opentelemetry, metricNames: [t], query: t}
            target: {type: Value, value: "4"}
`},
		renderCase{name: "the mode by default", text: service(metrics(podMetric), "serving.kserve.io/autoscalerClass: keda\nsidecar.opentelemetry.io/inject: model-predictor"),
			config: map[string]string{"deploy": `{"defaultDeploymentMode": "RawDeployment"}`}},
		renderCase{name: "settings", text: service(metrics(podMetric), ""), config: map[string]string{
			"opentelemetryCollector": `{"scrapeInterval": "1s", "metricReceiverEndpoint": "a:1", "metricScalerEndpoint": "b:4318", "resource": {"cpuLimit": "2"}}`,
			"autoscaler":             `{"scaleDownStabilizationWindowSeconds": "15"}`,
			"inferenceService":       `{"serviceAnnotationDisallowedList": ["sidecar.opentelemetry.io/other"]}`,
		}},
		renderCase{name: "settings that are empty", text: service(metrics(strings.Replace(podMetric, "backend: opentelemetry,", `backend: opentelemetry, serverAddress: "c:4318",`, 1)), ""), config: map[string]string{
			"opentelemetryCollector": `{}`, "autoscaler": `{}`,
		}},
	)
	return all
}

// refused are InferenceServices that the webhook refuses, with what it says and
// what we say.
var refused = []struct{ name, component, annotations, webhook, check string }{
	{name: "cpu by value", component: metrics("- type: Resource\n  resource: {name: cpu, target: {type: AverageValue, averageValue: 1}}"),
		webhook: "cpu target value type should be Utilization", check: `"AverageValue" does not go with cpu`},
	{name: "memory by value", component: metrics("- type: Resource\n  resource: {name: memory, target: {type: Value, value: 1Gi}}"),
		webhook: "memory target value type", check: `"Value" does not go with memory`},
	{name: "memory in bytes", component: metrics("- type: Resource\n  resource: {name: memory, target: {type: AverageValue, averageValue: 50}}"),
		webhook: "greater than 1 MiB", check: "50 is less than 1Mi"},
	{name: "no percentage", component: metrics("- type: Resource\n  resource: {name: cpu, target: {type: Utilization, averageUtilization: 150}}"),
		webhook: "[1-100]", check: `"150" is no percentage`},
	{name: "no utilization", component: metrics("- type: Resource\n  resource: {name: cpu, target: {type: Utilization}}"),
		webhook: "AverageUtilization", check: "is missing, and goes with type: Utilization"},
	{name: "another resource", component: metrics("- type: Resource\n  resource: {name: gpu, target: {type: Utilization, averageUtilization: 50}}"),
		webhook: "resource type gpu", check: `"gpu" is none of cpu, memory`},
	{name: "no source", component: metrics("- type: PodMetric"), webhook: "PodMetric is not set", check: "is missing, and goes with type: PodMetric"},
	{name: "another kind", component: metrics("- type: Pods"), webhook: "unknown KEDA metric type", check: `"Pods" is none of Resource, External, PodMetric`},
	{name: "no query", component: metrics("- type: External\n  external:\n    metric: {backend: prometheus, serverAddress: \"http://p\"}\n    target: {type: Value, value: 1}"),
		webhook: "query should not be empty", check: "external.metric.query: is missing"},
	{name: "no threshold", component: metrics("- type: PodMetric\n  podmetric:\n    metric: {backend: opentelemetry, metricNames: [x], query: x}\n    target: {type: AverageValue, averageValue: 1}"),
		webhook: "threshold value should not be empty", check: "podmetric.target.value: is missing"},
	{name: "no average value", component: metrics("- type: PodMetric\n  podmetric:\n    metric: {backend: opentelemetry, metricNames: [x], query: x}\n    target: {type: AverageValue, value: 1}"),
		webhook: "AverageValue type should be set", check: "averageValue: is missing, and goes with type: AverageValue"},
	{name: "a fraction as a number", component: metrics("- type: PodMetric\n  podmetric:\n    metric: {backend: opentelemetry, metricNames: [x], query: x}\n    target: {type: Value, value: 2.5}"),
		webhook: "string or integer", check: `2.5 is a number with a fraction, and KServe takes those as text only; write "2.5"`},
	{name: "no number", component: metrics("- type: PodMetric\n  podmetric:\n    metric: {backend: opentelemetry, metricNames: [x], query: x}\n    target: {type: Value, value: many}"),
		webhook: "quantit", check: `"many" is not a number`},
	{name: "bounds the wrong way round", component: strings.Replace(metrics(podMetric), "minReplicas: 1", "minReplicas: 9", 1),
		webhook: "'MinReplicas' cannot be greater than MaxReplicas", check: "9 is more than maxReplicas 5"},
	{name: "below zero", component: strings.Replace(metrics(podMetric), "minReplicas: 1", "minReplicas: -1", 1),
		webhook: "'MinReplicas' cannot be less than 0", check: `"-1" is no whole number from 0 on`},
	{name: "an HPA's metrics", component: metrics(podMetric), annotations: "serving.kserve.io/deploymentMode: Standard\nserving.kserve.io/autoscalerClass: hpa",
		webhook: "invalid HPA metric source type", check: `its autoscaler class is "hpa"`},
}
