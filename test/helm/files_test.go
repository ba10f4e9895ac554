package helm

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// object is the one of its kind that values render, after checkObject.
func object[T any](t *testing.T, values, kind string) (decoded T) {
	t.Helper()
	found := 0
	for _, text := range render(t, values).Objects {
		if yamlKind(t, text) == kind {
			found++
			checkObject(t, text)
			require.NoError(t, yaml.Unmarshal([]byte(text), &decoded))
		}
	}
	require.Equal(t, 1, found, "%s: %s", kind, values)
	return decoded
}

func TestAlertsAreTheFile(t *testing.T) {
	want := map[string]any{}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, deploy+"/dashboards/alerts.yaml")), &want))
	rule := object[struct {
		Metadata struct{ Labels map[string]string }
		Spec     map[string]any
	}](t, "prometheusRule: {enabled: true, labels: {release: prometheus}}", "PrometheusRule")
	require.Equal(t, want, rule.Spec)
	require.Equal(t, "prometheus", rule.Metadata.Labels["release"])
}

func TestDashboardIsTheFile(t *testing.T) {
	config := object[corev1.ConfigMap](t, "grafanaDashboard: {enabled: true, annotations: {grafana_folder: keda}}", "ConfigMap")
	require.Equal(t, map[string]string{"keda-otel-scaler.json": read(t, deploy+"/dashboards/keda-otel-scaler.json")}, config.Data)
	require.Equal(t, "1", config.Labels["grafana_dashboard"])
	require.Equal(t, "keda", config.Annotations["grafana_folder"])
}

// TestHelmMakesTheWebhooksCertificate shakes hands as the API server would: with
// what the configuration trusts, for the Service's name.
func TestHelmMakesTheWebhooksCertificate(t *testing.T) {
	const values = "{webhook: {enabled: true}, fullnameOverride: scaler}"
	// One rendering: the next makes another.
	var secret corev1.Secret
	var config admissionv1.ValidatingWebhookConfiguration
	for _, text := range render(t, values).Objects {
		switch yamlKind(t, text) {
		case "Secret":
			require.NoError(t, yaml.Unmarshal([]byte(text), &secret))
		case "ValidatingWebhookConfiguration":
			require.NoError(t, yaml.Unmarshal([]byte(text), &config))
		}
	}
	pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
	require.NoError(t, err)
	client := config.Webhooks[0].ClientConfig
	trusted := x509.NewCertPool()
	require.True(t, trusted.AppendCertsFromPEM(client.CABundle))
	near, far := net.Pipe()
	server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	host := client.Service.Name + "." + client.Service.Namespace + ".svc"
	require.NoError(t, tls.Client(near, &tls.Config{RootCAs: trusted, ServerName: host, MinVersion: tls.VersionTLS13}).Handshake())
	require.NoError(t, <-done)

	pod := deployment(t, values).Spec.Template.Spec
	require.Equal(t, secret.Name, pod.Volumes[0].Secret.SecretName)
	file := pod.Containers[0].VolumeMounts[0].MountPath + "/tls.crt"
	require.Equal(t, file, settings(t, args(t, values))["admission-tls-cert-file"])
	require.Equal(t, client.Service.Name, settings(t, args(t, values))["admission-service"])
}

// TestPolicyIsForTheService has the expression find triggers by the name that
// the Service has, which is not always the chart's.
func TestPolicyIsForTheService(t *testing.T) {
	policy := object[admissionv1.ValidatingAdmissionPolicy](t, "{validatingAdmissionPolicy: {enabled: true}, fullnameOverride: scaler}", "ValidatingAdmissionPolicy")
	require.Contains(t, policy.Spec.Variables[0].Expression, "'^(dns:///)?scaler([.:]|$)'")
	require.Equal(t, "scaler.keda", policy.Name)
}

func yamlKind(t *testing.T, text string) string {
	t.Helper()
	var meta struct{ Kind string }
	require.NoError(t, yaml.Unmarshal([]byte(text), &meta))
	return meta.Kind
}
