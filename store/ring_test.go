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
// same random pushes and insertions.
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
			in := sample{t: now - int64(rnd.IntN(min(12, int(retention)+1))), v: rnd.Float64()}
			if rnd.IntN(3) == 0 {
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
				require.Equal(t, held[k], r.at(k), "seed %d", seed)
			}
			if r.len() < len(model) && r.len() < limit {
				require.Less(t, model[len(model)-r.len()-1].t, mint, "seed %d: gave up a sample within the retention with room left", seed)
			}
			model = slices.Clone(held)
		}
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
