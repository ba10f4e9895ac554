package stage

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/binary"
)

const admissionAddress = "127.0.0.1:9444"

// Chart returns the folder of the product's Helm chart.
func Chart(t testing.TB) string {
	t.Helper()
	root, err := binary.Root()
	require.NoError(t, err)
	return filepath.Join(root, "..", "..", "deploy", "helm", "keda-otel-scaler")
}

// Helm runs helm as the cluster's administrator and returns what it printed,
// which must be without an error.
func (s *Stage) Helm(t testing.TB, args ...string) string {
	t.Helper()
	out, err := s.TryHelm(t.Context(), args...)
	require.NoError(t, err)
	return out
}

// TryHelm is Helm with an error for the caller to judge.
func (s *Stage) TryHelm(ctx context.Context, args ...string) (string, error) {
	return s.run(ctx, "", s.programs.Helm, args...)
}

// Admit starts the product again, so that it answers the API server's questions
// about ScaledObjects, and tells the API server where: no Service leads anywhere
// here. name is that of the webhook's configuration, as the chart has made it.
func (s *Stage) Admit(t testing.TB, name string) {
	t.Helper()
	certificate, err := s.ca.issue("admission", nil, "127.0.0.1")
	require.NoError(t, err)
	s.Product.Kill(t)
	s.Product.Start("--admission-address="+admissionAddress,
		"--admission-tls-cert-file="+certificate.certFile(), "--admission-tls-key-file="+certificate.keyFile())
	s.Product.Wait(t)
	o := &unstructured.Unstructured{}
	require.NoError(t, o.UnmarshalJSON([]byte(s.Kubectl(t, "get", "validatingwebhookconfiguration", name, "--output=json"))))
	text, err := webhooks("https://"+admissionAddress, s.ca.bundle(), []*unstructured.Unstructured{o})[0].MarshalJSON()
	require.NoError(t, err)
	_, err = s.Try(t.Context(), string(text), "replace", "--filename=-")
	require.NoError(t, err)
}
