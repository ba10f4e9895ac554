package scaler

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

func TestFloorsAreFewAndTheHighestCounts(t *testing.T) {
	var f floors
	f.add(floor{1000, 5})
	f.add(floor{2000, 3})
	require.Equal(t, []floor{{1000, 5}, {2000, 3}}, f.Entries, "the lower one counts when the higher has expired")
	f.add(floor{3000, 4})
	require.Equal(t, []floor{{1000, 5}, {3000, 4}}, f.Entries, "the older and lower one never counts")
	f.add(floor{2500, 4})
	require.Len(t, f.Entries, 2)
	f.add(floor{500, 9})
	require.Equal(t, []floor{{500, 9}, {1000, 5}, {3000, 4}}, f.Entries, "in the order of their times")
	f.expire(1000, 1000, nil)
	require.Equal(t, []floor{{3000, 4}}, f.Entries)
	f.add(floor{4000, 9})
	require.Equal(t, []floor{{4000, 9}}, f.Entries)
}

func TestFloorsAreBounded(t *testing.T) {
	var f floors
	for i := range 10 * maxFloors {
		f.add(floor{int64(i), float64(-i)})
		require.InDelta(t, 0, f.Entries[0].Value, 0, "the highest stays")
		require.LessOrEqual(t, len(f.Entries), maxFloors)
	}
	require.Len(t, f.Entries, maxFloors)
	require.Equal(t, floor{10*maxFloors - 1, -(10*maxFloors - 1)}, f.Entries[maxFloors-1])
}

func TestLossesShareAMomentWithinASecond(t *testing.T) {
	s := silents{seriesIDs(t, 6)}
	var f floors
	moments := func(lost ...query.Silent) (out [][]int64) {
		for _, m := range f.newMoments(lost) {
			var of []int64
			for _, l := range m {
				of = append(of, l.Arrived)
			}
			out = append(out, of)
		}
		return out
	}
	lost := []query.Silent{s.late(0, 1000, 1), s.late(1, 1500, 1), s.late(2, 1999, 1), s.late(3, 2000, 1), s.late(4, 2999, 1), s.late(5, 3000, 1)}
	require.Equal(t, [][]int64{{1000}, {1500}, {1999}, {2000}, {2999}, {3000}}, moments(lost...), "a few have a moment each")

	f.lost = map[query.SeriesID]int64{s.ids[0]: 1000, s.ids[3]: 2000}
	require.Equal(t, [][]int64{{1500}, {1999}, {2999}, {3000}}, moments(lost...), "those that have an entry are left out")
	require.Equal(t, [][]int64{{7000}}, moments(s.late(0, 7000, 1)), "it pushed, and was lost again")
	require.Empty(t, moments())

	many := silents{seriesIDs(t, maxMoments+1)}
	lost = nil
	for i := range many.ids {
		lost = append(lost, many.late(i, int64(1000+200*i), 1))
	}
	require.Equal(t, [][]int64{
		{1000, 1200, 1400, 1600, 1800, 2000}, {2200, 2400, 2600, 2800, 3000, 3200}, {3400, 3600, 3800, 4000, 4200},
	}, moments(lost...))
}

func TestFloorsForgetThoseThatAreBack(t *testing.T) {
	s := silents{seriesIDs(t, 3)}
	f := floors{lost: map[query.SeriesID]int64{s.ids[0]: 1000, s.ids[1]: 2000, s.ids[2]: 3000}}
	require.Equal(t, expired{back: 3000}, f.expire(0, 0, []query.Silent{s.late(0, 1000, 1), s.late(1, 2500, 1)}))
	require.Equal(t, map[query.SeriesID]int64{s.ids[0]: 1000}, f.lost, "the second was back meanwhile")
	require.EqualValues(t, 1000, f.newest())
	require.Equal(t, expired{forgotten: 1000}, f.expire(0, 1000, nil))
	require.Empty(t, f.lost)
	require.Zero(t, f.newest())
}

func TestTimesMoveWithTheClock(t *testing.T) {
	s := silents{seriesIDs(t, 1)}
	m := memory{
		Complete: floor{1000, 5}, Outage: 4000, returning: 9000,
		Floors: floors{Entries: []floor{{1000, 5}, {2000, 3}}, lost: map[query.SeriesID]int64{s.ids[0]: 2000}},
	}
	m.follow(0)
	require.EqualValues(t, 1000, m.Complete.At)
	m.follow(-500)
	m.follow(-500)
	require.Equal(t, floor{500, 5}, m.Complete)
	require.EqualValues(t, 3500, m.Outage)
	require.EqualValues(t, 8500, m.returning)
	require.Equal(t, []floor{{500, 5}, {1500, 3}}, m.Floors.Entries)
	require.EqualValues(t, 1500, m.Floors.lost[s.ids[0]])
	m.follow(0)
	require.EqualValues(t, 1000, m.Complete.At)
	m.returning = 0
	m.follow(100)
	require.Zero(t, m.returning)
}

// TestOutage: what becomes of series that were lost together.
func TestOutage(t *testing.T) {
	const patience = 30_000
	s := silents{seriesIDs(t, 3)}
	// at is the completeness at a moment, with so many live series and those that are
	// lost by when they were pushed last.
	at := func(now int64, live int, lost ...query.Silent) completeness {
		c := completeness{at: now, live: live, lost: lost}
		for _, l := range lost {
			c.latest = max(c.latest, l.Arrived)
		}
		return c
	}
	start := func() *memory {
		m := &memory{}
		lost := []query.Silent{s.late(0, 9000, 1), s.late(1, 10_000, 1)}
		c := at(18_000, 0, lost...)
		require.False(t, m.outage(&c, true, expired{}, 0, patience))
		require.EqualValues(t, 2500, m.Outage, "one and a half intervals before the last push")
		m.Floors.know(lost)
		return m
	}
	step := func(m *memory, c completeness, past expired) bool { return m.outage(&c, true, past, 0, patience) }

	m := start()
	m.Floors.lost = nil
	require.False(t, step(m, at(20_000, 2), expired{back: 10_000}))
	require.Zero(t, m.Outage, "all are back")
	require.Zero(t, m.returning)

	m = start()
	delete(m.Floors.lost, s.ids[0])
	require.False(t, step(m, at(20_000, 1, s.late(1, 10_000, 1)), expired{back: 9000}))
	require.NotZero(t, m.Outage, "one is not")
	m.Floors.lost = nil
	require.False(t, step(m, at(130_000, 1), expired{forgotten: 10_000}))
	require.EqualValues(t, 160_000, m.returning, "it is forgotten, and may be as late as after a start")
	require.Zero(t, m.Outage)

	m = start()
	delete(m.Floors.lost, s.ids[0])
	require.True(t, step(m, at(129_000, 0, s.late(1, 10_000, 1)), expired{forgotten: 9000}), "what is left is a part")
	require.True(t, step(m, at(129_500, 0, s.late(1, 10_000, 1)), expired{}))
	require.False(t, step(m, at(140_000, 1), expired{back: 10_000}))
	require.EqualValues(t, 170_000, m.returning)

	m = start()
	require.False(t, step(m, at(20_000, 5, s.late(0, 9000, 1), s.late(1, 10_000, 1)), expired{}))
	m.Floors.lost = nil
	require.False(t, step(m, at(130_000, 5), expired{forgotten: 10_000}))
	require.Zero(t, m.returning, "others have replaced them, and none is back")

	m = start()
	require.False(t, step(m, at(122_000, 0, s.late(1, 10_000, 1)), expired{forgotten: 2500}), "it was lost before")

	m = start()
	c := at(20_000, 0, s.late(0, 9000, 1), s.late(1, 10_000, 1))
	c.ended = true
	require.False(t, step(m, c, expired{}))
	require.Zero(t, m.Outage, "their senders ended all of them, late")

	m = start()
	require.True(t, step(m, c, expired{forgotten: 1000}), "one was forgotten that had not ended")
	require.True(t, step(m, c, expired{}))

	m = &memory{}
	c = at(18_000, 0, s.late(0, 9000, 1))
	c.ended = true
	require.False(t, step(m, c, expired{}))
	require.Zero(t, m.Outage, "their senders ended them")
	require.False(t, m.outage(&c, false, expired{forgotten: 9000}, 0, patience))
}
