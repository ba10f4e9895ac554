package query

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// TestEvaluationsAreCountedByPath, and those that take time are timed.
func TestEvaluationsAreCountedByPath(t *testing.T) {
	reg := prometheus.NewRegistry()
	f := newFixture(t)
	engine, err := New(Options{Store: f.store, Registerer: reg})
	require.NoError(t, err)
	f.Engine = engine
	f.load(`x 1 2`)
	direct, general := f.open(`sum(x)`), f.open(`sum(x) * 2`)
	for range 3 {
		_, err = direct.Value(t.Context(), View{At: f.ms.Load()})
		require.NoError(t, err)
	}
	_, err = general.Value(t.Context(), View{At: f.ms.Load()})
	require.NoError(t, err)

	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP keda_otel_scaler_evaluations_total Evaluations of triggers' queries, by path: direct (from the samples) or engine (by the PromQL engine).
# TYPE keda_otel_scaler_evaluations_total counter
keda_otel_scaler_evaluations_total{path="direct"} 3
keda_otel_scaler_evaluations_total{path="engine"} 1
`), "keda_otel_scaler_evaluations_total"))
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "keda_otel_scaler_evaluation_duration_seconds" {
			require.Len(t, f.GetMetric(), 2)
			for i, m := range f.GetMetric() { // direct, engine
				require.EqualValues(t, 3-2*i, m.GetHistogram().GetSampleCount(), "%s", m)
				require.NotEmpty(t, m.GetHistogram().GetPositiveSpan(), "a native histogram")
			}
		}
	}
}
