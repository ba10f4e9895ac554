package scaler

import (
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// TestAnExpensiveQueryIsNamed, once, and a cheap one never.
func TestAnExpensiveQueryIsNamed(t *testing.T) {
	gate := newGate(t)
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		r := &rig{t: t, logs: &lines{}}
		r.open(Options{Registerer: reg}, store.Options{Now: time.Now}, query.Options{})
		took := func(d time.Duration) {
			gate.at(1, func() error { time.Sleep(d); return nil })
		}
		ask := func(name, text string) {
			_, err := r.client.GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: &pb.ScaledObjectRef{
				Name: name, Namespace: "a", ScalerMetadata: map[string]string{"metricQuery": text, "targetValue": "1"},
			}})
			require.NoError(t, err)
		}
		for range 3 {
			took(49 * time.Millisecond)
			ask("cheap", `0 * time() + 1 + test_gate(0)`)
			took(50 * time.Millisecond)
			ask("dear", `0 * time() + 2 + test_gate(0)`)
			time.Sleep(tick)
		}
		require.Equal(t, 1, r.logs.count(`msg="a trigger's query is expensive" scaledobject=a/dear`))
		require.Equal(t, 1, r.logs.count("is expensive"))
		require.Equal(t, 3.0, testutil.ToFloat64(r.server.metrics.expensive))
	})
}
