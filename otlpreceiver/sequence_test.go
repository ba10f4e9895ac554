package otlpreceiver

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/value"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// TestWhatComesAfterAKnownPoint: a hit must refuse, end and add up what pdata's
// path does, though the push that filled the cache was an ordinary one.
func TestWhatComesAfterAKnownPoint(t *testing.T) {
	hist := func(f func(*mpb.HistogramDataPoint)) *mpb.HistogramDataPoint {
		p := buckets(0, []float64{1, 2}, []uint64{1, 2, 3}, 6)
		f(p)
		return p
	}
	same := func(*mpb.HistogramDataPoint) {}
	stale := math.Float64frombits(value.StaleNaN)
	for name, temporality := range map[string]mpb.AggregationTemporality{"delta": delta, "cumulative": cumulative} {
		t.Run(name, func(t *testing.T) {
			numbers := []*mpb.NumberDataPoint{double(0, 1), double(0, 2), double(0, math.Inf(1)), double(0, math.NaN()), double(0, stale), ended(0), {Flags: noValue}, {TimeUnixNano: at(0)}, double(-500, 1), double(500, 1), double(0, 3)}
			histograms := []*mpb.HistogramDataPoint{
				hist(same), hist(same),
				hist(func(p *mpb.HistogramDataPoint) { p.Sum = nil }),
				hist(func(p *mpb.HistogramDataPoint) { p.Sum = ptr(math.Inf(1)) }),
				hist(func(p *mpb.HistogramDataPoint) { p.Sum = ptr(math.NaN()) }),
				hist(func(p *mpb.HistogramDataPoint) { p.BucketCounts = []uint64{1, math.MaxUint64, 1} }),
				hist(func(p *mpb.HistogramDataPoint) { p.BucketCounts = []uint64{1, 2} }),
				hist(func(p *mpb.HistogramDataPoint) { p.BucketCounts = nil }),
				hist(func(p *mpb.HistogramDataPoint) { p.Count = 0 }),
				hist(func(p *mpb.HistogramDataPoint) { p.Flags = noValue }),
				hist(func(p *mpb.HistogramDataPoint) { p.Sum = ptr(stale) }),
				hist(func(p *mpb.HistogramDataPoint) { p.TimeUnixNano = 0 }),
				hist(func(p *mpb.HistogramDataPoint) { p.TimeUnixNano = at(-500) }),
				hist(same),
				// A marker in between has bounds that no point may have.
				hist(func(p *mpb.HistogramDataPoint) { p.ExplicitBounds = []float64{1, 1}; p.Flags = noValue }),
				hist(func(p *mpb.HistogramDataPoint) { p.ExplicitBounds = []float64{1, 1} }),
				hist(same),
			}
			p := newPair(t)
			for i := range max(len(numbers), len(histograms)) {
				later := func(ns *uint64) {
					if *ns != 0 {
						*ns += uint64(time.Duration(i) * time.Second)
					}
				}
				var ms []*mpb.Metric
				if i < len(numbers) {
					later(&numbers[i].TimeUnixNano)
					ms = append(ms, sumOf("n", temporality, true, numbers[i]))
				}
				if i < len(histograms) {
					later(&histograms[i].TimeUnixNano)
					ms = append(ms, histogramOf("h", temporality, histograms[i]))
				}
				b := marshal(t, resource(nil, ms...))
				p.send(b)
				p.send(b)
				p.clock.advance(time.Second)
			}
		})
	}
}
