package otlpreceiver

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// buckets is a histogram data point whose count is that of its buckets.
func buckets(s float64, bounds []float64, counts []uint64, sum float64, attrs ...string) *mpb.HistogramDataPoint {
	p := &mpb.HistogramDataPoint{TimeUnixNano: at(s), Attributes: kv(attrs...), ExplicitBounds: bounds, BucketCounts: counts, Sum: &sum}
	for _, c := range counts {
		p.Count += c
	}
	return p
}

func TestCumulativeHistogramBecomesClassicSeries(t *testing.T) {
	h := serve(t, config{})
	h.sendOK(histogramOf("vllm:ttft_seconds", cumulative,
		buckets(0, []float64{-1, 0, 0.001, 0.5, 1, 2.5e6, 1e21}, []uint64{1, 0, 2, 3, 0, 1, 0, 5}, 12.5, "pod", "a")))
	require.Equal(t, []string{
		`vllm:ttft_seconds_bucket{le="+Inf", pod="a"} 12@0`,
		`vllm:ttft_seconds_bucket{le="-1", pod="a"} 1@0`,
		`vllm:ttft_seconds_bucket{le="0", pod="a"} 1@0`,
		`vllm:ttft_seconds_bucket{le="0.001", pod="a"} 3@0`,
		`vllm:ttft_seconds_bucket{le="0.5", pod="a"} 6@0`,
		`vllm:ttft_seconds_bucket{le="1", pod="a"} 6@0`,
		`vllm:ttft_seconds_bucket{le="1000000000000000000000", pod="a"} 7@0`,
		`vllm:ttft_seconds_bucket{le="2500000", pod="a"} 7@0`,
		`vllm:ttft_seconds_count{pod="a"} 12@0`,
		`vllm:ttft_seconds_sum{pod="a"} 12.5@0`,
	}, h.held(""))
}

func TestDeltaHistogramAccumulates(t *testing.T) {
	h := serve(t, config{})
	h.clock.advance(10 * time.Second)
	h.sendOK(histogramOf("h", delta, buckets(1, []float64{1}, []uint64{3, 4}, 9)))
	h.sendOK(histogramOf("h", delta, buckets(2, []float64{1}, []uint64{1, 0}, 0.5)))
	require.Equal(t, []string{
		`h_bucket{le="+Inf"} 7@1 8@2`,
		`h_bucket{le="1"} 3@1 4@2`,
		`h_count{} 7@1 8@2`,
		`h_sum{} 9@1 9.5@2`,
	}, h.held(""))
}

func TestHistogramWithoutSumHasNone(t *testing.T) {
	h := serve(t, config{})
	p := buckets(0, []float64{1}, []uint64{1, 1}, 0)
	p.Sum = nil
	h.sendOK(histogramOf("h", cumulative, p))
	require.Empty(t, h.held("h_sum"))
	require.Equal(t, []string{"h_count{} 2@0"}, h.held("h_count"))
}

func TestHistogramWithoutBucketsHasOnlyInf(t *testing.T) {
	h := serve(t, config{})
	p := buckets(0, nil, nil, 3)
	p.Count = 2
	h.sendOK(histogramOf("h", cumulative, p), histogramOf("one", cumulative, buckets(0, nil, []uint64{5}, 3)))
	require.Equal(t, []string{`h_bucket{le="+Inf"} 2@0`}, h.held("h_bucket"))
	require.Equal(t, []string{`one_bucket{le="+Inf"} 5@0`}, h.held("one_bucket"))
}

func TestExplicitInfBoundIsNotStoredTwice(t *testing.T) {
	h := serve(t, config{})
	p := buckets(0, []float64{1, math.Inf(1)}, []uint64{1, 2, 0}, 3)
	p.Count = 9 // taken at its word
	h.sendOK(histogramOf("h", cumulative, p))
	require.Equal(t, []string{`h_bucket{le="+Inf"} 9@0`, `h_bucket{le="1"} 1@0`}, h.held("h_bucket"))
}

// The marker of the collector's prometheus receiver has no bounds.
func TestHistogramMarkerWithoutBoundsEndsAllItsSeries(t *testing.T) {
	h := serve(t, config{})
	h.clock.advance(10 * time.Second)
	h.sendOK(histogramOf("h", cumulative,
		buckets(1, []float64{1}, []uint64{3, 4}, 9, "pod", "a"),
		buckets(1, []float64{1}, []uint64{3, 4}, 9, "pod", "a", "model", "m")))
	h.sendOK(histogramOf("h", cumulative, &mpb.HistogramDataPoint{TimeUnixNano: at(2), Flags: noValue, Attributes: kv("pod", "a")}))
	require.Equal(t, []string{
		`h_bucket{le="+Inf", model="m", pod="a"} 7@1`,
		`h_bucket{le="+Inf", pod="a"} 7@1 stale@2`,
		`h_bucket{le="1", model="m", pod="a"} 3@1`,
		`h_bucket{le="1", pod="a"} 3@1 stale@2`,
		`h_count{model="m", pod="a"} 7@1`,
		`h_count{pod="a"} 7@1 stale@2`,
		`h_sum{model="m", pod="a"} 9@1`,
		`h_sum{pod="a"} 9@1 stale@2`,
	}, h.held(""))
}

func TestStaleNaNSumEndsTheHistogram(t *testing.T) {
	h := serve(t, config{})
	h.clock.advance(10 * time.Second)
	h.sendOK(histogramOf("h", cumulative, buckets(1, nil, []uint64{3}, 9)), exponentialOf("e", cumulative, expPoint(1, 0, 0, []uint64{1}, 1)))
	stale := math.Float64frombits(value.StaleNaN)
	h.sendOK(histogramOf("h", cumulative, buckets(2, nil, []uint64{0}, stale)), exponentialOf("e", cumulative, expPoint(2, 0, 0, nil, stale)))
	require.Equal(t, []string{"h_count{} 3@1 stale@2"}, h.held("h_count"))
	require.Contains(t, h.held("e")[0], " stale@2")
}

func TestBadHistogramsAreRejectedWhole(t *testing.T) {
	for name, c := range map[string]struct {
		point  *mpb.HistogramDataPoint
		tmp    mpb.AggregationTemporality
		reason string
	}{
		"too few buckets":    {buckets(0, []float64{1, 2}, []uint64{1, 2}, 0), cumulative, "2 bounds and 2 buckets"},
		"bounds, no buckets": {buckets(0, []float64{1, 2}, nil, 0), cumulative, "2 bounds and 0 buckets"},
		"unordered bounds":   {buckets(0, []float64{2, 1}, []uint64{1, 2, 3}, 0), cumulative, "ascending"},
		"equal bounds":       {buckets(0, []float64{1, 1}, []uint64{1, 2, 3}, 0), cumulative, "ascending"},
		"NaN bound":          {buckets(0, []float64{math.NaN()}, []uint64{1, 2}, 0), cumulative, "ascending"},
		"counts overflow":    {buckets(0, []float64{1}, []uint64{math.MaxUint64, 1}, 0), cumulative, "2^64"},
		"NaN delta sum":      {buckets(0, []float64{1}, []uint64{1, 1}, math.NaN()), delta, "delta is NaN"},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, config{})
			ps := h.send(histogramOf("h", c.tmp, c.point, buckets(0, nil, []uint64{1}, 1, "good", "yes")))
			require.EqualValues(t, 1, ps.GetRejectedDataPoints())
			require.Contains(t, ps.GetErrorMessage(), c.reason)
			require.Equal(t, []string{
				`h_bucket{good="yes", le="+Inf"} 1@0`, `h_count{good="yes"} 1@0`, `h_sum{good="yes"} 1@0`,
			}, h.held(""))
		})
	}
}

func summaryPoint(s float64, count uint64, sum float64, quantiles ...float64) *mpb.SummaryDataPoint {
	p := &mpb.SummaryDataPoint{TimeUnixNano: at(s), Count: count, Sum: sum, Attributes: kv("pod", "a")}
	for i := 0; i < len(quantiles); i += 2 {
		p.QuantileValues = append(p.QuantileValues, &mpb.SummaryDataPoint_ValueAtQuantile{Quantile: quantiles[i], Value: quantiles[i+1]})
	}
	return p
}

func TestSummaryBecomesQuantilesSumAndCountAndEnds(t *testing.T) {
	h := serve(t, config{})
	h.clock.advance(10 * time.Second)
	h.sendOK(summaryOf("s", summaryPoint(1, 5, 2.5, 0, 0.1, 0.5, 0.2, 0.99, math.NaN(), 1, 7)))
	marker := summaryPoint(2, 0, 0)
	marker.Flags = noValue
	h.sendOK(summaryOf("s", marker))
	require.Equal(t, []string{
		`s_count{pod="a"} 5@1 stale@2`,
		`s_sum{pod="a"} 2.5@1 stale@2`,
		`s{pod="a", quantile="0"} 0.1@1 stale@2`,
		`s{pod="a", quantile="0.5"} 0.2@1 stale@2`,
		`s{pod="a", quantile="0.99"} NaN@1 stale@2`,
		`s{pod="a", quantile="1"} 7@1 stale@2`,
	}, h.held(""))
}
