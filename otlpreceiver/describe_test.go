package otlpreceiver

import (
	"bytes"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/stretchr/testify/require"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

func describedAs(unit, help string, m *mpb.Metric) *mpb.Metric {
	m.Unit, m.Description = unit, help
	return m
}

// everyKind is a described metric of every kind, named after it.
func everyKind() []*mpb.Metric {
	return []*mpb.Metric{
		describedAs("{request}", "running now", gaugeOf("vllm:num_requests_running", double(0, 1))),
		describedAs("By", "sent so far", sumOf("sent.bytes", cumulative, true, double(0, 1))),
		describedAs("", "", sumOf("queue", cumulative, false, double(0, 1))),
		describedAs("1", "since the last push", sumOf("d", delta, true, double(0, 1))),
		describedAs("s", "how long", histogramOf("h", cumulative, buckets(0, []float64{1}, []uint64{1, 2}, 3))),
		describedAs("ms", "how long, natively", exponentialOf("e", cumulative, expPoint(0, 3, 7, []uint64{4}, 3))),
		describedAs("s", "at the client", summaryOf("q", summaryPoint(0, 1, 2, 0.5, 3))),
	}
}

// TestWhatAMetricSaysOfItselfIsKept on every way into the store: by its family's
// name, with Prometheus' types and units.
func TestWhatAMetricSaysOfItselfIsKept(t *testing.T) {
	want := map[string]metadata.Metadata{
		"vllm:num_requests_running": {Type: model.MetricTypeGauge, Help: "running now"},
		"sent_bytes":                {Type: model.MetricTypeCounter, Unit: "bytes", Help: "sent so far"},
		"queue":                     {Type: model.MetricTypeGauge},
		"d":                         {Type: model.MetricTypeCounter, Help: "since the last push"},
		"h":                         {Type: model.MetricTypeHistogram, Unit: "seconds", Help: "how long"},
		"e":                         {Type: model.MetricTypeHistogram, Unit: "milliseconds", Help: "how long, natively"},
		"q":                         {Type: model.MetricTypeSummary, Unit: "seconds", Help: "at the client"},
	}
	t.Run("gRPC", func(t *testing.T) {
		h := serve(t, config{})
		h.sendOK(everyKind()...)
		require.Equal(t, want, h.store.Metadata(""))
	})
	t.Run("pdata alone", func(t *testing.T) {
		h := serve(t, config{})
		h.receiver.pdataOnly = true
		h.sendOK(everyKind()...)
		require.Equal(t, want, h.store.Metadata(""))
	})
	t.Run("JSON", func(t *testing.T) {
		h := serveHTTP(t, config{})
		require.Equal(t, 200, h.post(bytes.NewReader(asJSON(t, resource(nil, everyKind()...))), "Content-Type", jsonType).code)
		require.Equal(t, want, h.store.Metadata(""))
	})
}

// TestANewPodsTextIsTheNewest: it comes with its new series.
func TestANewPodsTextIsTheNewest(t *testing.T) {
	h := serve(t, config{})
	h.sendOK(describedAs("", "old", gaugeOf("g", double(0, 1, "pod", "a"), double(0, 1, "pod", "b"))))
	h.sendOK(describedAs("", "new", gaugeOf("g", double(0, 1, "pod", "c"))), describedAs("", "other", gaugeOf("h", double(0, 1))))
	require.Equal(t, "new", h.store.Metadata("g")["g"].Help)
	require.Equal(t, "other", h.store.Metadata("h")["h"].Help)
}

func TestNothingIsKeptOfAMetricThatIsNot(t *testing.T) {
	h := serve(t, config{})
	h.send(
		describedAs("", "refused", sumOf("u", unspecified, true, double(0, 1))),
		describedAs("", "never began", gaugeOf("g", ended(0))),
		describedAs("", "too old", gaugeOf("o", double(-1e6, 1))),
		describedAs("", "empty", gaugeOf("n")),
	)
	require.Empty(t, h.store.Metadata(""))

	// Nor does one of which nothing is stored speak for the series that are there.
	h.sendOK(describedAs("", "stored", summaryOf("q", summaryPoint(0, 1, 2, 0.5, 3))))
	h.send(describedAs("", "too old", summaryOf("q", summaryPoint(-1e6, 1, 2, 0.5, 3))))
	require.Equal(t, "stored", h.store.Metadata("q")["q"].Help)
}

// TestAPushOfKnownBytesSaysNothingNew: neither looks at the text.
func TestAPushOfKnownBytesSaysNothingNew(t *testing.T) {
	h := serve(t, config{})
	h.sendOK(describedAs("", "old", gaugeOf("g", double(0, 1))), describedAs("", "old", histogramOf("h", cumulative, buckets(0, []float64{1}, []uint64{1, 2}, 3))))
	h.sendOK(describedAs("", "new", gaugeOf("g", double(1, 1))), describedAs("", "new", histogramOf("h", cumulative, buckets(1, []float64{1}, []uint64{1, 2}, 3))))
	require.Equal(t, "old", h.store.Metadata("g")["g"].Help)
	require.Equal(t, "old", h.store.Metadata("h")["h"].Help)
}
