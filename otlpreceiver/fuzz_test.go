package otlpreceiver

import (
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	colpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// FuzzExport sends arbitrary bytes. Whatever they are, nothing panics; a
// malformed request changes nothing; every point of a good one is accounted
// for; and what is stored has labels that Prometheus' own code can work with.
func FuzzExport(f *testing.F) {
	nested := &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: []*commonpb.AnyValue{str("x"), nil}}}}
	for _, rm := range []*mpb.ResourceMetrics{
		kserve(0, true),
		kserve(0, false),
		resource(kv("service.name", "s", "a.b", "1", "a_b", "2"),
			pointWith(attr("x", nested), attr("", nil), attr("__name__", str("n"))), gaugeOf("", double(0, 1)), gaugeOf("held", ended(0)), &mpb.Metric{Name: "hollow"},
			sumOf("d", delta, true, double(-1, 1), double(0, 2)), sumOf("u", unspecified, false, double(0, 1)),
			histogramOf("h", delta, buckets(0, []float64{1}, []uint64{1, 2}, 3), &mpb.HistogramDataPoint{TimeUnixNano: at(0), Flags: noValue}),
			exponentialOf("e", delta, expPoint(-1, 10, -5, []uint64{1, 0, 9}, 3), expPoint(0, 3, 7, []uint64{4}, 3)),
			summaryOf("q", summaryPoint(0, 1, 2, 0.5, 3))),
	} {
		b, err := proto.Marshal(&colpb.ExportMetricsServiceRequest{ResourceMetrics: []*mpb.ResourceMetrics{rm}})
		require.NoError(f, err)
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add([]byte{})
	f.Add([]byte("GET / HTTP/1.1"))

	f.Fuzz(func(t *testing.T, b []byte) {
		h := &harness{t: t, clock: newClock(), reg: prometheus.NewRegistry()}
		h.store = store.New(store.Options{Now: h.clock.now, MaxSeries: 500, MaxSeriesPerMetric: 100})
		var err error
		h.receiver, err = New(Options{Store: h.store, ResourceAttributes: []string{"*"}, Registerer: h.reg})
		require.NoError(t, err)
		_, err = h.receiver.export(t.Context(), asRequest(encoded(t, gaugeOf("held", double(0, 1)))))
		require.NoError(t, err)
		before := h.held("")

		res, err := h.receiver.export(t.Context(), asRequest(slices.Clone(b)))
		if err != nil {
			require.Equal(t, codes.InvalidArgument, status.Code(err))
			require.True(t, utf8.ValidString(status.Convert(err).Message()))
			require.Equal(t, before, h.held(""))
			return
		}
		md, err := decode(b)
		require.NoError(t, err)
		rejected := requireAnswer(t, *res)
		accepted, counted := h.points("accepted")-1, h.points("rejected")
		require.Equal(t, counted, rejected)
		require.Equal(t, md.DataPointCount(), accepted+rejected)
		h.each(labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".*"), func(lset labels.Labels, it chunkenc.Iterator) {
			requireLabels(t, lset)
			for k := it.Next(); k != chunkenc.ValNone; k = it.Next() {
				if k == chunkenc.ValFloatHistogram {
					_, fh := it.AtFloatHistogram(nil)
					require.NoError(t, fh.Validate())
				}
			}
		})
		// The same request again: deltas are not counted twice.
		once := h.held("")
		_, err = h.receiver.export(t.Context(), asRequest(b))
		require.NoError(t, err)
		if h.store.SeriesCount() < 100 && !futurePoints(md) {
			require.Equal(t, once, h.held(""))
		}
	})
}

func asRequest(b []byte) *request { return &request{buf: mem.SliceBuffer(b)} }

// futurePoints tells whether a point lies in the future: such points are stored
// at the time of arrival, where a later one is the newer one.
func futurePoints(md pmetric.Metrics) bool {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if hasFuture(m) {
					return true
				}
			}
		}
	}
	return false
}

func hasFuture(m pmetric.Metric) bool {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return anyFuture(m.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		return anyFuture(m.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		return anyFuture(m.Histogram().DataPoints())
	case pmetric.MetricTypeExponentialHistogram:
		return anyFuture(m.ExponentialHistogram().DataPoints())
	case pmetric.MetricTypeSummary:
		return anyFuture(m.Summary().DataPoints())
	default:
		return false
	}
}

func anyFuture[P interface{ Timestamp() pcommon.Timestamp }, S slice[P]](ps S) bool {
	for i := range ps.Len() {
		if uint64(ps.At(i).Timestamp())/1e6 > uint64(start.UnixMilli()) {
			return true
		}
	}
	return false
}

// points sums the receiver's counters of one outcome.
func (h *harness) points(outcome string) (n int) {
	for k := range kinds {
		n += int(h.metric("keda_otel_scaler_otlp_points_total", "kind", k.String(), "outcome", outcome))
	}
	return n
}

// requireAnswer returns how many points an answer says were rejected.
func requireAnswer(t *testing.T, res []byte) int {
	t.Helper()
	if len(res) == 0 {
		return 0
	}
	var out colpb.ExportMetricsServiceResponse
	require.NoError(t, proto.Unmarshal(res, &out), "the sender could not read the answer")
	require.NotEmpty(t, out.PartialSuccess.GetErrorMessage())
	return int(out.PartialSuccess.GetRejectedDataPoints())
}

func requireLabels(t *testing.T, lset labels.Labels) {
	t.Helper()
	require.NotEmpty(t, lset.Get(labels.MetricName))
	prev := ""
	lset.Range(func(l labels.Label) {
		require.Less(t, prev, l.Name, "sorted, and each name once")
		prev = l.Name
		require.Regexp(t, `^[a-zA-Z_][a-zA-Z0-9_]*$`, l.Name)
		require.NotEmpty(t, l.Value)
		require.True(t, utf8.ValidString(l.Value))
	})
	require.Regexp(t, `^[a-zA-Z_:][a-zA-Z0-9_:]*$`, lset.Get(labels.MetricName))
}
