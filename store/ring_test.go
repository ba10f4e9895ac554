package store

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
		var r ring
		var model []sample
		now := int64(1000)
		for range 200 {
			now += int64(rnd.IntN(4))
			in := sample{t: now - int64(rnd.IntN(min(12, int(retention)+1))), v: anyValue(rnd, seed%3 > 0)}
			if rnd.IntN(3) == 0 && seed%2 == 0 {
				in.v = 0
				in.hist = &histogram.FloatHistogram{Count: rnd.Float64()}
			}
			mint := now - retention
			i, taken := slices.BinarySearchFunc(model, in.t, func(s sample, t int64) int { return int(s.t - t) })
			if r.len() == 0 || in.t > r.last().t {
				r.push(in, mint, limit)
				model = append(model, in)
			} else if r.insert(in, mint, limit) {
				require.False(t, taken, "inserted a second sample of one time")
				model = slices.Insert(model, i, in)
			}
			// The ring may hold more than the retention, never more than its cap,
			// and what it gives up is the oldest.
			require.LessOrEqual(t, r.len(), limit)
			require.LessOrEqual(t, r.len(), len(model))
			held := model[len(model)-r.len():]
			for k := range r.len() {
				require.Equal(t, bitsOf(held[k]), bitsOf(r.at(k)), "seed %d", seed)
			}
			if r.len() < len(model) && r.len() < limit {
				require.Less(t, model[len(model)-r.len()-1].t, mint, "seed %d: gave up a sample within the retention with room left", seed)
			}
			model = slices.Clone(held)
		}
	}
}

var (
	narrowValues = []float64{0, 1, -7, 0.5, 1 << 24, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.MaxFloat32, math.SmallestNonzeroFloat32, staleNaN}
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
func bitsOf(s sample) [3]any { return [3]any{s.t, math.Float64bits(s.v), s.hist} }

func TestEveryValueComesBackToTheLastBit(t *testing.T) {
	for _, v := range append(narrowValues, wideValues...) {
		var r ring
		r.push(sample{t: 1, v: v}, 0, 4)
		require.Equal(t, math.Float64bits(v), math.Float64bits(r.last().v), v)
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
	var r ring
	for i := range int64(10) {
		r.push(sample{t: 10 * i}, 0, 6) // wraps
	}
	require.Equal(t, 0, r.search(0))
	require.Equal(t, 0, r.search(40))
	require.Equal(t, 1, r.search(41))
	require.Equal(t, 5, r.search(90))
	require.Equal(t, 6, r.search(91))
}

// TestRingOutlivesItsBase: a series may live for years.
func TestRingOutlivesItsBase(t *testing.T) {
	var r ring
	const minute = 60_000
	const step = math.MaxUint32/8 + 7
	for i := range int64(100) {
		r.push(sample{t: i * step, v: float64(i)}, i*step-minute, 5)
		r.push(sample{t: i*step + minute, v: -float64(i)}, i*step-minute, 5)
		require.True(t, r.insert(sample{t: i*step + 1, v: 0.5}, i*step-minute, 5))
		require.Equal(t, sample{t: i * step, v: float64(i)}, r.at(r.len()-3))
		require.Equal(t, sample{t: i*step + 1, v: 0.5}, r.at(r.len()-2))
		require.Equal(t, sample{t: i*step + minute, v: -float64(i)}, r.last())
	}
}
