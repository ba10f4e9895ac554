package ring

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/stretchr/testify/require"
)

// TestRingAgreesWithSortedSlice drives a ring and a plain sorted slice with the
// same random pushes and insertions. Every third ring has narrow values only, every
// third may meet a wide one at any time.
func TestRingAgreesWithSortedSlice(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		limit := 1 + rnd.IntN(20)
		retention := int64(5 + rnd.IntN(60))
		var r Ring
		var model []Sample
		now := int64(1000)
		for range 200 {
			now += int64(rnd.IntN(4))
			in := Sample{T: now - int64(rnd.IntN(min(12, int(retention)+1))), V: anyValue(rnd, seed%3 > 0)}
			if rnd.IntN(3) == 0 && seed%2 == 0 {
				in.V = 0
				in.Hist = &histogram.FloatHistogram{Count: rnd.Float64()}
			}
			mint := now - retention
			i, taken := slices.BinarySearchFunc(model, in.T, func(s Sample, t int64) int { return int(s.T - t) })
			if r.Len() == 0 || in.T > r.Last().T {
				r.Push(in, mint, limit)
				model = append(model, in)
			} else if r.Insert(in, mint, limit) {
				require.False(t, taken, "inserted a second sample of one time")
				model = slices.Insert(model, i, in)
			}
			// The ring may hold more than the retention, never more than its cap,
			// and what it gives up is the oldest.
			require.LessOrEqual(t, r.Len(), limit)
			require.LessOrEqual(t, r.Len(), len(model))
			held := model[len(model)-r.Len():]
			for k := range r.Len() {
				require.Equal(t, bitsOf(held[k]), bitsOf(r.At(k)), "seed %d", seed)
			}
			if r.Len() < len(model) && r.Len() < limit {
				require.Less(t, model[len(model)-r.Len()-1].T, mint, "seed %d: gave up a sample within the retention with room left", seed)
			}
			model = slices.Clone(held)
		}
	}
}

var (
	narrowValues = []float64{0, 1, -7, 0.5, 1 << 24, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.MaxFloat32, math.SmallestNonzeroFloat32, StaleNaN}
	wideValues   = []float64{0.1, 1<<24 + 1, math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(), math.Float64frombits(math.Float64bits(math.NaN()) + 1),
		float64(math.Float32frombits(staleNarrow)), -math.Float64frombits(0x7ff0000000000003)}
)

func anyValue(rnd *rand.Rand, wide bool) float64 {
	if wide && rnd.IntN(100) == 0 {
		return wideValues[rnd.IntN(len(wideValues))]
	}
	return narrowValues[rnd.IntN(len(narrowValues))]
}

// bitsOf makes NaNs comparable.
func bitsOf(s Sample) [3]any { return [3]any{s.T, math.Float64bits(s.V), s.Hist} }

func TestEveryValueComesBackToTheLastBit(t *testing.T) {
	for _, v := range append(narrowValues, wideValues...) {
		var r Ring
		r.Push(Sample{T: 1, V: v}, 0, 4)
		require.Equal(t, math.Float64bits(v), math.Float64bits(r.Last().V), v)
	}
	for _, v := range narrowValues {
		_, ok := narrow(v)
		require.True(t, ok, v)
	}
	for _, v := range wideValues {
		_, ok := narrow(v)
		require.False(t, ok, v)
	}
}

func TestRingSearch(t *testing.T) {
	var r Ring
	for i := range int64(10) {
		r.Push(Sample{T: 10 * i}, 0, 6) // wraps
	}
	require.Equal(t, 0, r.Search(0))
	require.Equal(t, 0, r.Search(40))
	require.Equal(t, 1, r.Search(41))
	require.Equal(t, 5, r.Search(90))
	require.Equal(t, 6, r.Search(91))
}

// TestRingOutlivesItsBase: a series may live for years.
func TestRingOutlivesItsBase(t *testing.T) {
	var r Ring
	const minute = 60_000
	const step = math.MaxUint32/8 + 7
	for i := range int64(100) {
		r.Push(Sample{T: i * step, V: float64(i)}, i*step-minute, 5)
		r.Push(Sample{T: i*step + minute, V: -float64(i)}, i*step-minute, 5)
		require.True(t, r.Insert(Sample{T: i*step + 1, V: 0.5}, i*step-minute, 5))
		require.Equal(t, Sample{T: i * step, V: float64(i)}, r.At(r.Len()-3))
		require.Equal(t, Sample{T: i*step + 1, V: 0.5}, r.At(r.Len()-2))
		require.Equal(t, Sample{T: i*step + minute, V: -float64(i)}, r.Last())
	}
}
