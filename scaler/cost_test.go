package scaler

import (
	"testing"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// TestAnExpensiveQueryIsNamed, once, and a cheap one never.
func TestAnExpensiveQueryIsNamed(t *testing.T) {
	reg := prometheus.NewRegistry()
	r := newRig(t, Options{Registerer: reg})
	ask := func(name, text string) {
		_, _ = r.client.GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: &pb.ScaledObjectRef{
			Name: name, Namespace: "a", ScalerMetadata: map[string]string{"metricQuery": text, "targetValue": "1"},
		}}) // it may as well take too long
	}
	for range 3 {
		ask("cheap", `vector(1) + 0`)
		ask("dear", `sum(sum_over_time(vector(1)[30m:1ms]))`)
	}
	require.Equal(t, 1, r.logs.count(`msg="a trigger's query is expensive" scaledobject=a/dear`))
	require.Equal(t, 1, r.logs.count("is expensive"))
	// Its value stays, but on a busy machine evaluations time out and are tried again.
	require.Positive(t, testutil.ToFloat64(r.server.metrics.expensive))
}
