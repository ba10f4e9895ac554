package serve

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/certtest"
)

// TestTheAPIServerIsAnsweredOverTLS: with the faults that GetMetricSpec would find,
// the namespace enforced included.
func TestTheAPIServerIsAnsweredOverTLS(t *testing.T) {
	ca := certtest.Authority(t)
	volume := certtest.NewVolume(t, certtest.Server(t, certtest.New(t, ca)))
	i := start(t, append(tlsFlags(t, volume, "admission"), "--admission-address=127.0.0.1:0", "--enforce-namespace-label=namespace")...)
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	const review = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","kind":{"group":"keda.sh","kind":"ScaledObject"},"namespace":"a","operation":"CREATE",
		"object":{"spec":{"triggers":[{"type":"external","metadata":{"scalerAddress":"keda-otel-scaler.keda:4318","targetValue":"4","metricQuery":"x{namespace=\"b\"}"}}]}}}}`
	response, err := send(ctx, httpsClient(t, client([]*certtest.Cert{ca}), false), http.MethodPost, "https://"+i.Admission.String()+"/validate", []byte(review))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.code)
	require.Contains(t, response.body, `"allowed":false`)
	require.Contains(t, response.body, "sees only series with")
}
