package otlp

import (
	"context"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/keda-otel-scaler/keda-otel-scaler/otlpreceiver"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

var began = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// ours is our receiver with all its defaults.
type ours struct {
	now     time.Time
	store   *store.Store
	handler http.Handler
}

func newOurs(t *testing.T) *ours {
	o := &ours{now: began}
	o.store = store.New(store.Options{Now: func() time.Time { return o.now }})
	receiver, err := otlpreceiver.New(otlpreceiver.Options{Store: o.store, ResourceAttributes: []string{"*"}})
	require.NoError(t, err)
	o.handler = receiver.Handler(1 << 20)
	return o
}

func (o *ours) held(t *testing.T) held {
	q, err := o.store.Querier(math.MinInt64, o.now.UnixMilli())
	require.NoError(t, err)
	out := held{}
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".+"))
	for set.Next() {
		lset := set.At().Labels()
		it := set.At().Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			if kind == chunkenc.ValFloatHistogram {
				at, fh := it.AtFloatHistogram(nil)
				out.native(lset, at, fh)
				continue
			}
			at, v := it.At()
			out.float(lset, at, v)
		}
	}
	require.NoError(t, set.Err())
	return out
}

func at(s float64) pcommon.Timestamp {
	return pcommon.NewTimestampFromTime(began.Add(time.Duration(s * float64(time.Second))))
}

// push is metrics that arrive at a time, in seconds.
type push struct {
	at       float64
	fill     func(pmetric.MetricSlice)
	resource map[string]string // beside what every resource has
}

// TestSameAsPrometheus: the same series with the same values, whatever is sent.
func TestSameAsPrometheus(t *testing.T) {
	number := func(s, v float64) func(pmetric.NumberDataPoint) {
		return func(p pmetric.NumberDataPoint) { p.SetTimestamp(at(s)); p.SetDoubleValue(v) }
	}
	for name, pushes := range map[string][]push{
		"gauges": {{at: 5, fill: func(ms pmetric.MetricSlice) {
			g := add(ms, "vllm:num_requests_running").SetEmptyGauge().DataPoints()
			number(5, 2.5)(g.AppendEmpty())
			p := g.AppendEmpty()
			p.SetTimestamp(at(5))
			p.SetIntValue(-7)
			p.Attributes().PutStr("model.name", "llama")
			p.Attributes().PutInt("port", 8080)
			p.Attributes().PutBool("on", true)
			p.Attributes().PutDouble("share", 0.25)
			p.Attributes().PutEmptySlice("list").AppendEmpty().SetStr("x")
			number(5, math.Inf(1))(add(ms, "http.server/active requests").SetEmptyGauge().DataPoints().AppendEmpty())
			number(5, 1)(add(ms, "1st").SetEmptyGauge().DataPoints().AppendEmpty())
		}}},
		"cumulative sums": {
			{at: 5, fill: func(ms pmetric.MetricSlice) { number(5, 7)(sum(ms, "c", true)) }},
			{at: 10, fill: func(ms pmetric.MetricSlice) { number(10, 9)(sum(ms, "c", true)); number(10, -1)(sum(ms, "u", false)) }},
			{at: 15, fill: func(ms pmetric.MetricSlice) { number(15, 2)(sum(ms, "c", true)) }},
		},
		"staleness markers": {
			{at: 5, fill: func(ms pmetric.MetricSlice) {
				number(5, 7)(sum(ms, "c", true))
				histogramAt(ms, 5, []float64{1}, []uint64{1, 2})
			}},
			{at: 10, fill: func(ms pmetric.MetricSlice) {
				p := sum(ms, "c", true)
				p.SetTimestamp(at(10))
				p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
			}},
		},
		"explicit histograms": {
			{at: 5, fill: func(ms pmetric.MetricSlice) { histogramAt(ms, 5, []float64{0.005, 1, 2.5e6}, []uint64{1, 2, 3, 4}) }},
			{at: 10, fill: func(ms pmetric.MetricSlice) { histogramAt(ms, 10, []float64{0.005, 1, 2.5e6}, []uint64{2, 2, 9, 4}) }},
			{at: 15, fill: func(ms pmetric.MetricSlice) { histogramAt(ms, 15, nil, []uint64{17}) }},
		},
		"exponential histograms": {
			{at: 5, fill: func(ms pmetric.MetricSlice) { exponentialAt(ms, 5, 3, -4, 1, 0, 2, 0, 0, 0, 3) }},
			{at: 10, fill: func(ms pmetric.MetricSlice) { exponentialAt(ms, 10, 11, -7, 1, 2, 3, 4, 5, 6, 7, 8, 9) }},
			{at: 15, fill: func(ms pmetric.MetricSlice) { exponentialAt(ms, 15, -4, 0, 7) }},
		},
		"summaries": {{at: 5, fill: func(ms pmetric.MetricSlice) {
			p := add(ms, "s").SetEmptySummary().DataPoints().AppendEmpty()
			p.SetTimestamp(at(5))
			p.SetCount(3)
			p.SetSum(4.5)
			for _, q := range []float64{0.5, 0.99, 1} {
				v := p.QuantileValues().AppendEmpty()
				v.SetQuantile(q)
				v.SetValue(q * 10)
			}
		}}},
		"deltas in line, after a gap, overlapping, sent again, out of order": {
			{at: 5, fill: func(ms pmetric.MetricSlice) { deltaOf(ms, 2, 5, 1) }},
			{at: 10, fill: func(ms pmetric.MetricSlice) { deltaOf(ms, 5, 10, 2) }},
			{at: 15, fill: func(ms pmetric.MetricSlice) { deltaOf(ms, 12, 15, 4) }},
			{at: 20, fill: func(ms pmetric.MetricSlice) { deltaOf(ms, 13, 20, 8) }},
			{at: 21, fill: func(ms pmetric.MetricSlice) { deltaOf(ms, 13, 20, 8) }},
			{at: 22, fill: func(ms pmetric.MetricSlice) { deltaOf(ms, 8, 13, 16) }},
			{at: 23, fill: func(ms pmetric.MetricSlice) { deltaOf(ms, 1, 23, 32) }},
			{at: 25, fill: func(ms pmetric.MetricSlice) { deltaOf(ms, 23, 25, 64) }},
		},
		"delta histograms": {
			{at: 5, fill: func(ms pmetric.MetricSlice) { deltaHistogram(ms, 5, 1, 2, 3) }},
			{at: 10, fill: func(ms pmetric.MetricSlice) { deltaHistogram(ms, 10, 4, 0, 1) }},
			{at: 11, fill: func(ms pmetric.MetricSlice) { deltaHistogram(ms, 10, 4, 0, 1) }},
		},
	} {
		t.Run(name, func(t *testing.T) {
			want, got := both(t, pushes...)
			// Ours says that a delta's running total began at zero, see below.
			for series, samples := range got {
				if samples[0] == "0@0s" || samples[0] == "0@2s" {
					got[series] = samples[1:]
				}
			}
			require.Equal(t, want.text(), got.text())
		})
	}
}

// TestWhereWeDiffer is the whole list, each with its reason.
func TestWhereWeDiffer(t *testing.T) {
	const target = `instance="localhost:8080", job="models/vllm"`
	number := func(p pmetric.NumberDataPoint, s, v float64) { p.SetTimestamp(at(s)); p.SetDoubleValue(v) }
	for _, c := range []struct {
		name, why    string
		pushes       []push
		theirs, ours string
	}{
		{
			"a delta's first start", "the total was zero then, and increase() should see the first delta",
			[]push{{at: 5, fill: func(ms pmetric.MetricSlice) { deltaOf(ms, 2, 5, 1) }}},
			`{__name__="d", ` + target + "} 1@5s\n", `{__name__="d", ` + target + "} 0@2s 1@5s\n",
		},
		{
			"a series that misses a push", "a dead pod's load must not count for the lookback; the gap stays as reads returned it",
			[]push{
				{at: 5, fill: func(ms pmetric.MetricSlice) { number(sum(ms, "u", false), 5, 1) }},
				{at: 10, fill: func(ms pmetric.MetricSlice) { number(sum(ms, "u", false), 10, 2) }},
				{at: 20, fill: func(ms pmetric.MetricSlice) { number(sum(ms, "u", false), 20, 3) }},
			},
			`{__name__="u", ` + target + "} 1@5s 2@10s 3@20s\n", `{__name__="u", ` + target + "} 1@5s 2@10s stale@17.5s 3@20s\n",
		},
		{
			"a histogram's marker without bounds", "its buckets end, too, or histogram_quantile goes on without its count",
			[]push{
				{at: 5, fill: func(ms pmetric.MetricSlice) { histogramAt(ms, 5, []float64{1}, []uint64{1, 2}) }},
				{at: 10, fill: func(ms pmetric.MetricSlice) {
					h := add(ms, "h").SetEmptyHistogram()
					h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
					p := h.DataPoints().AppendEmpty()
					p.SetTimestamp(at(10))
					p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
				}},
			},
			`{__name__="h_bucket", ` + target + `, le="+Inf"} 3@5s stale@10s` + "\n" +
				`{__name__="h_bucket", ` + target + `, le="1"} 1@5s` + "\n" +
				`{__name__="h_count", ` + target + "} 3@5s stale@10s\n" +
				`{__name__="h_sum", ` + target + "} 4.5@5s\n",
			`{__name__="h_bucket", ` + target + `, le="+Inf"} 3@5s stale@10s` + "\n" +
				`{__name__="h_bucket", ` + target + `, le="1"} 1@5s stale@10s` + "\n" +
				`{__name__="h_count", ` + target + "} 3@5s stale@10s\n" +
				`{__name__="h_sum", ` + target + "} 4.5@5s stale@10s\n",
		},
		{
			"a point from the future", "a sender's clock is not the world's; the value is what it is now",
			[]push{{at: 5, fill: func(ms pmetric.MetricSlice) { histogramAt(ms, 65, nil, nil) }}},
			`{__name__="h_bucket", ` + target + `, le="+Inf"} 0@65s` + "\n" +
				`{__name__="h_count", ` + target + "} 0@65s\n" + `{__name__="h_sum", ` + target + "} 0@65s\n",
			`{__name__="h_bucket", ` + target + `, le="+Inf"} 0@5s` + "\n" +
				`{__name__="h_count", ` + target + "} 0@5s\n" + `{__name__="h_sum", ` + target + "} 0@5s\n",
		},
		{
			"the pod that a resource names, and target_info", "KServe's queries have such labels, and a sidecar's transform is easily forgotten; with attributes as labels nothing joins target_info",
			[]push{{at: 5, fill: func(ms pmetric.MetricSlice) {
				p := sum(ms, "c", true)
				p.SetTimestamp(at(5))
				p.SetIntValue(1)
			}, resource: map[string]string{"k8s.pod.name": "a"}}},
			`{__name__="c", ` + target + `, k8s_pod_name="a"} 1@5s` + "\n" +
				`{__name__="target_info", ` + target + `, k8s_pod_name="a"} 1@5s` + "\n",
			`{__name__="c", ` + target + `, k8s_pod_name="a", pod="a"} 1@5s` + "\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, got := both(t, c.pushes...)
			require.Equal(t, c.theirs, want.text())
			require.Equal(t, c.ours, got.text(), c.why)
		})
	}
}

// both sends the pushes to both receivers, each at its time.
func both(t *testing.T, pushes ...push) (want, got held) {
	p, o := newTheirs(), newOurs(t)
	for _, push := range pushes {
		o.now = began.Add(time.Duration(push.at * float64(time.Second)))
		require.Equal(t, http.StatusOK, post(t, p.handler, request(push)))
		require.Equal(t, http.StatusOK, post(t, o.handler, request(push)))
	}
	return p.held, o.held(t)
}

// request is a push from a pod.
func request(p push) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	for k, v := range map[string]string{"service.name": "vllm", "service.namespace": "models", "service.instance.id": "localhost:8080"} {
		rm.Resource().Attributes().PutStr(k, v)
	}
	for k, v := range p.resource {
		rm.Resource().Attributes().PutStr(k, v)
	}
	p.fill(rm.ScopeMetrics().AppendEmpty().Metrics())
	return md
}

func add(ms pmetric.MetricSlice, name string) pmetric.Metric {
	m := ms.AppendEmpty()
	m.SetName(name)
	return m
}

func sum(ms pmetric.MetricSlice, name string, monotonic bool) pmetric.NumberDataPoint {
	s := add(ms, name).SetEmptySum()
	s.SetIsMonotonic(monotonic)
	s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	return s.DataPoints().AppendEmpty()
}

func deltaOf(ms pmetric.MetricSlice, from, to, v float64) {
	s := add(ms, "d").SetEmptySum()
	s.SetIsMonotonic(true)
	s.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	p := s.DataPoints().AppendEmpty()
	p.SetStartTimestamp(at(from))
	p.SetTimestamp(at(to))
	p.SetDoubleValue(v)
}

func deltaHistogram(ms pmetric.MetricSlice, s float64, counts ...uint64) {
	histogramAt(ms, s, []float64{1, 2}, counts)
	h := ms.At(ms.Len() - 1).Histogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	h.DataPoints().At(0).SetStartTimestamp(at(s - 5))
}

func histogramAt(ms pmetric.MetricSlice, s float64, bounds []float64, counts []uint64) {
	h := add(ms, "h").SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := h.DataPoints().AppendEmpty()
	p.SetTimestamp(at(s))
	p.ExplicitBounds().FromRaw(bounds)
	p.BucketCounts().FromRaw(counts)
	var total uint64
	for _, n := range counts {
		total += n
	}
	p.SetCount(total)
	p.SetSum(float64(total) * 1.5)
}

func exponentialAt(ms pmetric.MetricSlice, s float64, scale, offset int32, counts ...uint64) {
	h := add(ms, "e").SetEmptyExponentialHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := h.DataPoints().AppendEmpty()
	p.SetTimestamp(at(s))
	p.SetScale(scale)
	p.Positive().SetOffset(offset)
	p.Positive().BucketCounts().FromRaw(counts)
	p.Negative().SetOffset(offset + 1)
	p.Negative().BucketCounts().FromRaw(counts[:1])
	p.SetZeroCount(2)
	total := 2 + counts[0]
	for _, n := range counts {
		total += n
	}
	p.SetCount(total)
	p.SetSum(12.5)
}
