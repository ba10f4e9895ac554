package otlpreceiver

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser/posrange"
	"github.com/stretchr/testify/require"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// expPoint is an exponential histogram of positive values.
func expPoint(s float64, scale, offset int32, counts []uint64, sum float64) *mpb.ExponentialHistogramDataPoint {
	p := &mpb.ExponentialHistogramDataPoint{
		TimeUnixNano: at(s), Scale: scale, Sum: &sum,
		Positive: &mpb.ExponentialHistogramDataPoint_Buckets{Offset: offset, BucketCounts: counts},
	}
	for _, c := range counts {
		p.Count += c
	}
	return p
}

// The bounds of OTLP's buckets are worked out here from their definition,
// (2^(i/2^scale), 2^((i+1)/2^scale)], and each stored bucket must hold exactly
// what the input buckets within its bounds hold.
func TestExponentialBucketsKeepTheirBounds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for scale := int32(-4); scale <= 20; scale++ {
		for range 10 {
			counts := make([]uint64, 1+rnd.IntN(200))
			for i := range counts {
				if rnd.IntN(3) > 0 {
					counts[i] = rnd.Uint64N(100)
				}
			}
			offset := int32(rnd.IntN(400) - 300)
			if scale < 0 {
				offset = offset >> (3 - scale) // within what a float64 reaches
				counts = counts[:min(len(counts), 20)]
			}
			t.Run(fmt.Sprintf("scale %d offset %d buckets %d", scale, offset, len(counts)), func(t *testing.T) {
				h := serve(t, config{})
				p := expPoint(0, scale, offset, counts, 1)
				p.Negative = &mpb.ExponentialHistogramDataPoint_Buckets{Offset: offset, BucketCounts: counts}
				p.ZeroCount, p.ZeroThreshold = 3, 1e-300
				p.Count = 2*p.Count + 3
				h.sendOK(exponentialOf("e", cumulative, p))
				got := h.native("e")
				require.Equal(t, min(scale, 8), got.Schema)
				require.Equal(t, float64(p.Count), got.Count)
				require.Equal(t, 3.0, got.ZeroCount)
				require.Equal(t, 1e-300, got.ZeroThreshold)
				require.NoError(t, got.Validate())
				requireBuckets(t, got.PositiveBucketIterator(), 1, scale, offset, counts)
				requireBuckets(t, got.NegativeBucketIterator(), -1, scale, offset, counts)
			})
		}
	}
}

func requireBuckets(t *testing.T, it histogram.BucketIterator[float64], sign float64, scale, offset int32, counts []uint64) {
	t.Helper()
	left := slices.Clone(counts)
	for it.Next() {
		b := it.At()
		lower, upper := b.Lower, b.Upper
		if sign < 0 {
			lower, upper = -b.Upper, -b.Lower
		}
		inside := uint64(0)
		for i := range left {
			lo := math.Exp2(math.Ldexp(float64(int(offset)+i), -int(scale)))
			up := math.Exp2(math.Ldexp(float64(int(offset)+i+1), -int(scale)))
			mid := math.Sqrt(lo) * math.Sqrt(up)
			if mid <= lower || mid > upper {
				continue
			}
			require.GreaterOrEqual(t, lo, lower*(1-1e-12))
			require.LessOrEqual(t, up, upper*(1+1e-12))
			if scale <= 8 {
				require.InEpsilon(t, lo, lower, 1e-12)
				require.InEpsilon(t, up, upper, 1e-12)
			}
			inside += left[i]
			left[i] = 0
		}
		require.Equal(t, float64(inside), b.Count)
	}
	require.Zero(t, slices.Max(left), "a bucket was lost")
}

// Quantiles of the stored histogram against those of the values themselves.
func TestExponentialQuantilesMatchTheValues(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	values := make([]float64, 2000)
	for i := range values {
		values[i] = math.Exp(rnd.NormFloat64() * 2)
	}
	slices.Sort(values)
	for _, scale := range []int32{0, 2, 5, 8, 11} {
		h := serve(t, config{})
		index := func(v float64) int { return int(math.Ceil(math.Log2(v)*math.Exp2(float64(scale)))) - 1 }
		offset := index(values[0])
		counts := make([]uint64, index(values[len(values)-1])-offset+1)
		total := 0.0
		for _, v := range values {
			counts[index(v)-offset]++
			total += v
		}
		h.sendOK(exponentialOf("e", cumulative, expPoint(0, scale, int32(offset), counts, total)))
		base := math.Exp2(math.Exp2(-float64(min(scale, 8))))
		for _, q := range []float64{0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999} {
			got, _ := promql.HistogramQuantile(q, h.native("e"), "e", posrange.PositionRange{})
			want := values[int(math.Ceil(q*float64(len(values))))-1]
			require.GreaterOrEqual(t, got*base*(1+1e-9), want, "scale %d quantile %g", scale, q)
			require.LessOrEqual(t, got, want*base*(1+1e-9), "scale %d quantile %g", scale, q)
		}
	}
}

func TestZeroThresholdThatWasNotSentIsThatOfPrometheus(t *testing.T) {
	h := serve(t, config{})
	p := expPoint(0, 0, 0, []uint64{1}, 1)
	p.ZeroCount, p.Count = 9, 10
	h.sendOK(exponentialOf("e", cumulative, p))
	require.Equal(t, 1e-128, h.native("e").ZeroThreshold)
	got, _ := promql.HistogramQuantile(0.5, h.native("e"), "e", posrange.PositionRange{})
	require.InDelta(t, 0, got, 1e-100)
}

func TestDeltaExponentialHistogramAccumulates(t *testing.T) {
	h := serve(t, config{})
	h.clock.advance(10 * time.Second)
	h.sendOK(exponentialOf("e", delta, expPoint(1, 3, 5, []uint64{1, 0, 2}, 4)))
	h.sendOK(exponentialOf("e", delta, expPoint(2, 3, 6, []uint64{7}, 1)))
	h.clock.advance(time.Second)
	h.sendOK(exponentialOf("e", delta, expPoint(3, 2, 3, []uint64{100}, 1))) // the scale was lowered
	got := h.native("e")
	require.EqualValues(t, 2, got.Schema)
	require.Equal(t, 110.0, got.Count)
	require.Equal(t, 6.0, got.Sum)
	// At scale 3 bucket 5 halves to 2 and buckets 6 and 7 to 3.
	requireBuckets(t, got.PositiveBucketIterator(), 1, 2, 2, []uint64{1, 109})

	h.clock.advance(time.Second)
	wide := expPoint(4, 2, 3, []uint64{1}, 1)
	wide.ZeroThreshold, wide.ZeroCount, wide.Count = 0.25, 5, 6
	h.sendOK(exponentialOf("e", delta, wide))
	got = h.native("e")
	require.Equal(t, 0.25, got.ZeroThreshold, "of two, the wider")
	require.Equal(t, 5.0, got.ZeroCount)
	require.Equal(t, 116.0, got.Count)
}

func TestExponentialHistogramEnds(t *testing.T) {
	h := serve(t, config{})
	h.clock.advance(10 * time.Second)
	h.sendOK(exponentialOf("e", cumulative, expPoint(1, 0, 0, []uint64{1}, 1)))
	h.sendOK(exponentialOf("e", cumulative, &mpb.ExponentialHistogramDataPoint{TimeUnixNano: at(2), Flags: noValue}))
	require.Len(t, h.held(""), 1)
	require.Contains(t, h.held("e")[0], " stale@2")
}

func TestBadExponentialHistogramsAreRejected(t *testing.T) {
	change := func(f func(*mpb.ExponentialHistogramDataPoint)) *mpb.ExponentialHistogramDataPoint {
		p := expPoint(0, 0, 0, []uint64{1, 2}, 5)
		f(p)
		return p
	}
	for name, c := range map[string]struct {
		point  *mpb.ExponentialHistogramDataPoint
		tmp    mpb.AggregationTemporality
		reason string
	}{
		"scale too coarse":   {expPoint(0, -5, 0, []uint64{1}, 1), cumulative, "scale -5, and the coarsest that can be stored is -4"},
		"count too small":    {change(func(p *mpb.ExponentialHistogramDataPoint) { p.Count-- }), cumulative, "hold 3 values and its count says 2"},
		"count too large":    {change(func(p *mpb.ExponentialHistogramDataPoint) { p.Count++ }), cumulative, "hold 3 values and its count says 4"},
		"index out of reach": {expPoint(0, 0, math.MaxInt32, []uint64{0, 1}, 1), cumulative, "no float64 falls into"},
		"index too low":      {expPoint(0, 0, -1076, []uint64{1}, 1), cumulative, "no float64 falls into"},
		"counts overflow":    {expPoint(0, 0, 0, []uint64{math.MaxUint64, 2}, 1), cumulative, "2^64"},
		"negative threshold": {change(func(p *mpb.ExponentialHistogramDataPoint) { p.ZeroThreshold = -1 }), cumulative, "zero threshold"},
		"NaN threshold":      {change(func(p *mpb.ExponentialHistogramDataPoint) { p.ZeroThreshold = math.NaN() }), cumulative, "zero threshold"},
		"infinite delta sum": {change(func(p *mpb.ExponentialHistogramDataPoint) { p.Sum = ptr(math.Inf(-1)) }), delta, "delta is NaN or infinite"},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, config{})
			ps := h.send(exponentialOf("e", c.tmp, c.point), gaugeOf("g", double(0, 1)))
			require.EqualValues(t, 1, ps.GetRejectedDataPoints())
			require.Contains(t, ps.GetErrorMessage(), `metric "e": `)
			require.Contains(t, ps.GetErrorMessage(), c.reason)
			require.Equal(t, []string{"g{} 1@0"}, h.held(""))
		})
	}
}

func TestExponentialExtremesAreStored(t *testing.T) {
	for name, p := range map[string]*mpb.ExponentialHistogramDataPoint{
		"smallest float":       expPoint(0, 0, -1075, []uint64{1}, 1),
		"largest float":        expPoint(0, 0, 1023, []uint64{1}, 1),
		"finest scale":         expPoint(0, math.MaxInt32, math.MinInt32, []uint64{1}, 1),
		"empty":                expPoint(0, 0, 0, nil, 0),
		"empty at the far end": expPoint(0, 0, math.MaxInt32, []uint64{0, 0}, 0),
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, config{})
			h.sendOK(exponentialOf("e", cumulative, p))
			require.Equal(t, float64(p.Count), h.native("e").Count)
		})
	}
	// NaNs are counted and are in no bucket.
	h := serve(t, config{})
	p := expPoint(0, 0, 0, []uint64{1}, math.NaN())
	p.Count = 5
	h.sendOK(exponentialOf("e", cumulative, p))
	require.Equal(t, 5.0, h.native("e").Count)
}
