package otlpreceiver

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

var (
	errBounds   = errors.New("a histogram's bounds are not in ascending order")
	errOverflow = errors.New("a histogram's bucket counts add up to more than 2^64")
)

// histogram stores a histogram with explicit bounds as Prometheus' classic
// series: buckets that count everything up to their bound, a sum and a count.
func (t *translator) histogram(m metric, p pmetric.HistogramDataPoint) error {
	ms, err := t.enter(m, p)
	if err != nil {
		return err
	}
	t.series.drop("le")
	bucket := m.name + "_bucket"
	if p.Flags().NoRecordedValue() || p.HasSum() && value.IsStaleNaN(p.Sum()) {
		return t.endAll(m, "le", bucket, ms)
	}
	// Before anything is stored: half a histogram is worse than none.
	if err := checkHistogram(m, p); err != nil {
		return err
	}
	var first firstError
	var upTo uint64
	bounds, counts := p.ExplicitBounds(), p.BucketCounts()
	for i := range bounds.Len() {
		if counts.Len() == 0 || math.IsInf(bounds.At(i), 1) {
			break // le="+Inf" comes from the count, below
		}
		upTo += counts.At(i)
		lset := t.series.variant(bucket, "le", formatFloat(bounds.At(i)))
		first.note(t.float(m, lset, ms, float64(upTo)))
	}
	// As in Prometheus the count is taken at its word, even where it differs
	// from the sum of the buckets.
	first.note(t.float(m, t.series.variant(bucket, "le", "+Inf"), ms, float64(p.Count())))
	if p.HasSum() {
		first.note(t.float(m, t.series.named(m.name+"_sum"), ms, p.Sum()))
	}
	first.note(t.float(m, t.series.named(m.name+"_count"), ms, float64(p.Count())))
	return first.err
}

// histogramSeries returns the labels of the series that histogram stored this
// point in just now, in the same order.
func (t *translator) histogramSeries(m metric, p pmetric.HistogramDataPoint) iter.Seq[labels.Labels] {
	return func(yield func(labels.Labels) bool) {
		for _, b := range p.ExplicitBounds().All() {
			if math.IsInf(b, 1) {
				break
			}
			if !yield(t.series.variant(m.name+"_bucket", "le", formatFloat(b))) {
				return
			}
		}
		if !yield(t.series.variant(m.name+"_bucket", "le", "+Inf")) {
			return
		}
		if p.HasSum() && !yield(t.series.named(m.name+"_sum")) {
			return
		}
		yield(t.series.named(m.name + "_count"))
	}
}

// checkHistogram refuses points whose buckets can't be told apart.
func checkHistogram(m metric, p pmetric.HistogramDataPoint) error {
	bounds, counts := p.ExplicitBounds(), p.BucketCounts()
	switch b, c := bounds.Len(), counts.Len(); {
	case c == 0 && b == 0: // a sum and a count
	case c != b+1:
		return fmt.Errorf("a histogram has %d bounds and %d buckets, and there must be one bucket more than bounds", b, c)
	}
	prev := math.NaN()
	for _, b := range bounds.All() {
		if math.IsNaN(b) || b <= prev {
			return errBounds
		}
		prev = b
	}
	var upTo uint64
	for _, c := range counts.All() {
		if upTo+c < upTo {
			return errOverflow
		}
		upTo += c
	}
	if m.delta && p.HasSum() && (math.IsNaN(p.Sum()) || math.IsInf(p.Sum(), 0)) {
		return errDeltaNaN
	}
	return nil
}

// formatFloat writes a bound or quantile as Prometheus' OTLP translation does,
// so that {le="0.5"} and {le="1000000"} match.
func formatFloat(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
