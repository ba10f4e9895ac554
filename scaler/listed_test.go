package scaler

import (
	"fmt"
	"strings"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// listedMetrics are those of single triggers.
func listedMetrics(t *testing.T, registry *prometheus.Registry, names ...string) string {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	var b strings.Builder
	for _, f := range families {
		short := strings.TrimPrefix(f.GetName(), "keda_otel_scaler_trigger")
		if short == f.GetName() || strings.HasSuffix(short, "refused_total") || strings.HasSuffix(short, "timestamp_seconds") {
			continue
		}
		for _, m := range f.GetMetric() {
			b.WriteString(short)
			for _, l := range m.GetLabel() {
				if l.GetName() != "scaledobject_namespace" {
					b.WriteString(" " + l.GetValue())
				}
			}
			fmt.Fprintln(&b, "", m.GetGauge().GetValue())
		}
	}
	return b.String()
}

// TestTriggersAreListedUpToAMaximum, and make room when KEDA asks no longer.
func TestTriggersAreListedUpToAMaximum(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := newRig(t, Options{MaxListed: 2, Registerer: registry})
	ask := func(object string, edits ...string) {
		t.Helper()
		md := map[string]string{keyQuery: "sum(vllm:num_requests_running)", keyTarget: "4"}
		for i := 0; i < len(edits); i += 2 {
			md[edits[i]] = edits[i+1]
		}
		_, _ = r.client.GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: &pb.ScaledObjectRef{Name: object, Namespace: "default", ScalerMetadata: md}})
	}
	r.push("a", 5)
	ask("a")
	ask("b", keyTarget, "2", keyActivation, "7")
	ask("c")
	all := func() string { return listedMetrics(t, registry) }
	require.Equal(t, `_active vllm:num_requests_running a 1
_active vllm:num_requests_running b 0
_held vllm:num_requests_running a 0
_held vllm:num_requests_running b 0
_target vllm:num_requests_running a 4
_target vllm:num_requests_running b 2
_value vllm:num_requests_running a 5
_value vllm:num_requests_running b 5
s false 1
s true 2
`, all())

	r.wait(forgetAfter / 2)
	ask("a") // its series is gone by now, under load
	ask("b", keyTarget, "2", keyActivation, "7")
	require.Contains(t, all(), "_held vllm:num_requests_running a 1\n")
	require.NotContains(t, all(), "_value vllm:num_requests_running a", "there is none while it is held")

	r.wait(forgetAfter/2 + time.Minute)
	ask("a")
	r.wait(forgetAfter / 2)
	require.NotContains(t, all(), " b ", "nobody asks for it any more")
	ask("c")
	require.Contains(t, all(), "_target vllm:num_requests_running c 4\n", "there is room")

	// A query that is edited leaves one metric, not two of the same name.
	ask("a", keyQuery, "max(vllm:num_requests_running)", keyTarget, "9", keyOnMissing, "zero")
	ask("d")
	require.Contains(t, all(), "s false 3\n") // b, d, and the edited a, which finds no room
	r.wait(forgetAfter + time.Second)
	ask("a")
	r.wait(time.Second)
	ask("a", keyQuery, "max(vllm:num_requests_running)", keyTarget, "9", keyOnMissing, "zero")
	require.Contains(t, all(), "s true 2\n")
	require.Equal(t, 1, strings.Count(all(), "_target"))
	require.Contains(t, all(), "_target vllm:num_requests_running a 9\n", "the newer")
}

// TestForgottenTriggersHaveNoMetrics: those that make room in the memory of all.
func TestForgottenTriggersHaveNoMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := newRig(t, Options{MaxListed: 2, Registerer: registry})
	q, err := r.server.lookup(t.Context(), ref(kserve), rpcMetrics)
	require.NoError(t, err)
	require.Contains(t, listedMetrics(t, registry), "s true 1\n")
	require.True(t, r.server.triggers.Remove(q.state.key))
	require.Contains(t, listedMetrics(t, registry), "s true 0\n")
}

func TestTransitionsAreCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := newRig(t, Options{Registerer: registry})
	for _, v := range []float64{1, 2, 0, 3} {
		r.push("a", v)
		r.require(kserve, v, v > 0)
		r.wait(time.Second)
	}
	r.wait(time.Hour)
	r.requireHeld(kserve, "")
	r.requireHeld(kserve, "")
	_, err := r.client.IsActive(t.Context(), ref(map[string]string{keyQuery: "sum("}))
	require.Error(t, err)
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP keda_otel_scaler_transitions_total Changes of the state that a trigger has in answers to KEDA, the first answer included, by the new state: active, inactive or held.
# TYPE keda_otel_scaler_transitions_total counter
keda_otel_scaler_transitions_total{to="active"} 2
keda_otel_scaler_transitions_total{to="held"} 1
keda_otel_scaler_transitions_total{to="inactive"} 1
# HELP keda_otel_scaler_triggers_refused_total Questions of KEDA about a trigger whose metadata or query was rejected.
# TYPE keda_otel_scaler_triggers_refused_total counter
keda_otel_scaler_triggers_refused_total 1
`), "keda_otel_scaler_transitions_total", "keda_otel_scaler_triggers_refused_total"))
}
