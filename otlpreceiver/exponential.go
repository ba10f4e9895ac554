package otlpreceiver

import (
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// defaultZeroThreshold stands for a threshold that was not sent. It is that of
// Prometheus, so that a sender's histograms come out of both the same.
const defaultZeroThreshold = 1e-128

var (
	errThreshold = errors.New("an exponential histogram's zero threshold is not a number of at least 0")
	errIndex     = errors.New("an exponential histogram counts values in a bucket that no float64 falls into")
)

// exponential stores an exponential histogram as a native one.
func (t *translator) exponential(m metric, p pmetric.ExponentialHistogramDataPoint) error {
	ms, err := t.enter(m, p)
	if err != nil {
		return err
	}
	lset := t.series.named(m.name)
	if p.Flags().NoRecordedValue() || p.HasSum() && value.IsStaleNaN(p.Sum()) {
		return t.end(lset, ms)
	}
	h, err := nativeHistogram(p)
	if err != nil {
		return err
	}
	switch {
	case !m.delta:
		_, err = t.app.AppendHistogram(lset, ms, h)
	case math.IsNaN(h.Sum) || math.IsInf(h.Sum, 0):
		err = errDeltaNaN
	default:
		_, err = t.app.AddHistogram(lset, ms, h)
	}
	return err
}

// nativeHistogram converts a point. The counter reset hint stays unknown,
// which makes every reader look for resets itself.
func nativeHistogram(p pmetric.ExponentialHistogramDataPoint) (*histogram.FloatHistogram, error) {
	schema := p.Scale()
	if schema < histogram.ExponentialSchemaMin {
		return nil, fmt.Errorf("an exponential histogram has scale %d, and the coarsest that can be stored is %d", schema, histogram.ExponentialSchemaMin)
	}
	// Scales are nested: each one coarser merges pairs of buckets.
	var coarser int32
	if schema > histogram.ExponentialSchemaMax {
		coarser = schema - histogram.ExponentialSchemaMax
		schema = histogram.ExponentialSchemaMax
	}
	h := &histogram.FloatHistogram{
		Schema:        schema,
		Count:         float64(p.Count()),
		ZeroCount:     float64(p.ZeroCount()),
		ZeroThreshold: p.ZeroThreshold(),
	}
	if p.HasSum() {
		h.Sum = p.Sum()
	}
	switch zt := h.ZeroThreshold; {
	case zt == 0:
		h.ZeroThreshold = defaultZeroThreshold
	case !(zt > 0) || math.IsInf(zt, 0):
		return nil, errThreshold
	}
	total := p.ZeroCount()
	var err error
	if h.PositiveSpans, h.PositiveBuckets, err = convertBuckets(p.Positive(), schema, coarser, &total); err != nil {
		return nil, err
	}
	if h.NegativeSpans, h.NegativeBuckets, err = convertBuckets(p.Negative(), schema, coarser, &total); err != nil {
		return nil, err
	}
	// A NaN is counted and falls into no bucket.
	if total > p.Count() || total < p.Count() && !math.IsNaN(h.Sum) {
		return nil, fmt.Errorf("an exponential histogram's buckets hold %d values and its count says %d", total, p.Count())
	}
	if err := h.Validate(); err != nil {
		return nil, fmt.Errorf("an exponential histogram is not valid: %w", err)
	}
	return h, nil
}

// convertBuckets turns OTLP's dense buckets into spans of those that hold
// something, and adds what they hold to total. OTLP's bucket i is
// (base^i, base^(i+1)], Prometheus' is (base^(i-1), base^i].
func convertBuckets(b pmetric.ExponentialHistogramDataPointBuckets, schema, coarser int32, total *uint64) ([]histogram.Span, []float64, error) {
	var (
		spans  []histogram.Span
		values []float64
		last   int64 // index of the last bucket in values
	)
	lowest, highest := indexRange(schema)
	offset := int64(b.Offset())
	for i, count := range nonZero(b.BucketCounts()) {
		if *total+count < *total {
			return nil, nil, errOverflow
		}
		*total += count
		index := (offset+int64(i))>>coarser + 1
		switch {
		case index < lowest || index > highest:
			return nil, nil, errIndex
		case len(spans) == 0:
			spans = append(spans, histogram.Span{Offset: int32(index), Length: 1}) //nolint:gosec // within indexRange
		case index == last:
			values[len(values)-1] += float64(count)
			continue
		case index == last+1:
			spans[len(spans)-1].Length++
		default:
			spans = append(spans, histogram.Span{Offset: int32(index - last - 1), Length: 1}) //nolint:gosec // within indexRange
		}
		values = append(values, float64(count))
		last = index
	}
	return spans, values, nil
}

// nonZero ranges over the counts that are not zero, by their place.
func nonZero(counts pcommon.UInt64Slice) func(yield func(int, uint64) bool) {
	return func(yield func(int, uint64) bool) {
		for i, c := range counts.All() {
			if c != 0 && !yield(i, c) {
				return
			}
		}
	}
}

// indexRange returns the Prometheus indexes of the first and last bucket that
// a float64 can fall into: 2^-1074 is the smallest, all are below 2^1024. An
// index beyond is nonsense, and far enough beyond overflows when added.
func indexRange(schema int32) (lowest, highest int64) {
	index := func(exponent float64) int64 { return int64(math.Ceil(math.Ldexp(exponent, int(schema)))) }
	return index(-1074), index(1024)
}
