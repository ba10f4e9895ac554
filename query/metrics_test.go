package query

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// always finds everything settled.
type always struct{}

func (always) Settled(float64, bool) bool { return true }

// TestEvaluationsAreCountedByPath, and those that take time are timed.
func TestEvaluationsAreCountedByPath(t *testing.T) {
	reg := prometheus.NewRegistry()
	f := newFixture(t)
	engine, err := New(Options{Store: f.store, Registerer: reg})
	require.NoError(t, err)
	f.Engine = engine
	f.load(`x 1 2`)
	direct, general := f.plan(`sum(x)`, LastOne), f.plan(`sum(x) * 2`, LastOne)
	for range 3 {
		_, err = direct.Eval(t.Context(), f.now())
		require.NoError(t, err)
	}
	_, err = general.Eval(t.Context(), f.now())
	require.NoError(t, err)
	w, err := direct.Watch(always{})
	require.NoError(t, err)
	defer w.Close()
	w.Arm()
	f.wait(5 * time.Second)
	f.load(`x 3`)

	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP keda_otel_scaler_evaluations_total Evaluations of triggers' queries, by path: standing (nothing had changed since the last), pushed (by a push, for open streams), direct (from the samples) or engine (by the PromQL engine).
# TYPE keda_otel_scaler_evaluations_total counter
keda_otel_scaler_evaluations_total{path="direct"} 1
keda_otel_scaler_evaluations_total{path="engine"} 1
keda_otel_scaler_evaluations_total{path="pushed"} 1
keda_otel_scaler_evaluations_total{path="standing"} 2
`), "keda_otel_scaler_evaluations_total"))
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "keda_otel_scaler_evaluation_duration_seconds" {
			require.Len(t, f.GetMetric(), 2)
			for _, m := range f.GetMetric() {
				require.EqualValues(t, 1, m.GetHistogram().GetSampleCount(), "%s", m)
				require.NotEmpty(t, m.GetHistogram().GetPositiveSpan(), "a native histogram")
			}
		}
	}
}
