package otlpreceiver

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

const dropMetric = "keda_otel_scaler_otlp_attributes_dropped_total"

// onBothPaths runs a test with the fast path and without, over a real connection.
func onBothPaths(t *testing.T, c config, test func(t *testing.T, h *harness)) {
	t.Helper()
	for name, pdataOnly := range map[string]bool{"fast path": false, "pdata": true} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, c)
			h.receiver.pdataOnly = pdataOnly
			test(t, h)
		})
	}
}

// TestAttributeThatCannotBeALabelCostsNoPoint: of each kind of point, whether its
// series is new or known.
func TestAttributeThatCannotBeALabelCostsNoPoint(t *testing.T) {
	onBothPaths(t, config{}, func(t *testing.T, h *harness) {
		bad := []string{"日本", "x", "", "x", "ok", "v"}
		summed := summaryPoint(0, 1, 2)
		summed.Attributes = kv(bad...)
		exponential := expPoint(0, 0, 0, []uint64{1}, 1)
		exponential.Attributes = kv(bad...)
		array := &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{}}}
		metrics := []*mpb.Metric{
			gaugeOf("g", double(0, 2, bad...), double(0, 3, "ok", "1")),
			gaugeOf("array", &mpb.NumberDataPoint{TimeUnixNano: at(0), Attributes: []*commonpb.KeyValue{attr("日本", array)}, Value: &mpb.NumberDataPoint_AsInt{AsInt: 7}}),
			histogramOf("h", cumulative, buckets(0, nil, []uint64{4}, 5, bad...)),
			exponentialOf("e", cumulative, exponential), summaryOf("q", summed),
		}
		for push := range 3 {
			ps := h.send(metrics...)
			require.Zero(t, ps.GetRejectedDataPoints())
			require.Contains(t, ps.GetErrorMessage(), `metric "g": attribute "日本" can't be a label, so it is not stored`)
			for _, m := range metrics {
				require.Equal(t, 1, strings.Count(ps.GetErrorMessage(), `metric "`+m.Name+`"`), ps.GetErrorMessage())
			}
			pushes := float64(push + 1)
			require.Equal(t, 5*pushes, h.metric(dropMetric, "reason", "unusable_key"))
			require.Equal(t, 4*pushes, h.metric(dropMetric, "reason", "empty_key"))
			require.Equal(t, 6*pushes, h.metric("keda_otel_scaler_otlp_points_total", "outcome", "accepted"))
			require.Zero(t, h.metric("keda_otel_scaler_otlp_points_total", "outcome", "rejected"))
			require.Equal(t, pushes, h.metric("keda_otel_scaler_otlp_requests_total", "outcome", "ok"))
		}
		require.Equal(t, []string{`g{ok="1"} 3@0`, `g{ok="v"} 2@0`}, h.held("g"))
		require.Equal(t, []string{`array{} 7@0`}, h.held("array"))
		require.Equal(t, []string{`h_count{ok="v"} 4@0`}, h.held("h_count"))
		require.Equal(t, []string{`q_count{ok="v"} 1@0`}, h.held("q_count"))
		require.Len(t, h.held("e"), 1)
	})
}

// TestDroppedAttributesDoNotHideRejectedPoints: a point that is rejected for another
// reason is counted as such, and the message has both.
func TestDroppedAttributesDoNotHideRejectedPoints(t *testing.T) {
	onBothPaths(t, config{}, func(t *testing.T, h *harness) {
		ps := h.send(gaugeOf("g", double(-200, 1, "___", "x"), double(0, 1, "___", "x")))
		require.EqualValues(t, 1, ps.GetRejectedDataPoints())
		require.Contains(t, ps.GetErrorMessage(), `attribute "___" can't be a label`)
		require.Contains(t, ps.GetErrorMessage(), "older than the retention")
		require.Equal(t, []string{`g{} 1@0`}, h.held(""))
	})
}

// TestAttributesThatAreNotStoredAnywayAreNoFault: those without a value, those of a
// resource that are not to become labels, and those of a scope.
func TestAttributesThatAreNotStoredAnywayAreNoFault(t *testing.T) {
	onBothPaths(t, config{}, func(t *testing.T, h *harness) {
		rm := resource(kv("日本", "x"), gaugeOf("g", double(0, 1, "日本", "")))
		rm.ScopeMetrics[0].Scope = &commonpb.InstrumentationScope{Name: "s", Attributes: kv("日本", "x", "", "y")}
		require.Nil(t, h.export(rm))
		require.Equal(t, []string{`g{} 1@0`}, h.held(""))
		require.Zero(t, h.metric(dropMetric))
	})
}

func TestResourceAttributeThatCannotBeALabelIsAWarning(t *testing.T) {
	onBothPaths(t, config{attributes: []string{"*"}}, func(t *testing.T, h *harness) {
		for push := range 3 {
			ps := h.export(resource(kv("", "x", "日本", "x", "k8s.pod.name", "a"), gaugeOf("g", double(0, 1), double(0, 2, "ok", "1"))))
			require.Zero(t, ps.GetRejectedDataPoints())
			require.Contains(t, ps.GetErrorMessage(), `resource: attribute "" can't be a label`)
			require.Equal(t, float64(push+1), h.metric(dropMetric, "reason", "empty_key"))
			require.Equal(t, float64(push+1), h.metric(dropMetric, "reason", "unusable_key"))
		}
		require.Equal(t, []string{`g{k8s_pod_name="a", ok="1", pod="a"} 2@0`, `g{k8s_pod_name="a", pod="a"} 1@0`}, h.held(""))
	})
}

// TestDroppedAttributesAreLoggedAtMostOnceInTenSeconds, and rejected points besides.
func TestDroppedAttributesAreLoggedAtMostOnceInTenSeconds(t *testing.T) {
	var out bytes.Buffer // written by handlers that have answered before it is read
	h := serve(t, config{logger: slog.New(slog.NewTextHandler(&out, nil))})
	lines := func() int { return strings.Count(out.String(), "\n") }
	bad := func() { h.send(gaugeOf("queue", double(0, 1, "日本", "x"))) }
	bad()
	bad()
	require.Equal(t, 1, lines())
	for _, part := range []string{"level=WARN", "queue", "日本", "peer=127.0.0.1:", "rejected=0", `"dropped attributes"=1`} {
		require.Contains(t, out.String(), part)
	}
	h.send(gaugeOf("old", double(-200, 1)))
	require.Equal(t, 2, lines(), "a rejected point is logged within the interval of dropped attributes")
	h.clock.advance(warnInterval)
	bad()
	require.Equal(t, 3, lines())
}
