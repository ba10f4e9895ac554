package store

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAppendsToHeldSeriesAreAppendsByLabels: the two differ in nothing but who
// looks the series up.
func TestAppendsToHeldSeriesAreAppendsByLabels(t *testing.T) {
	byLabels, c1 := newStore(t, Options{})
	held, c2 := newStore(t, Options{})
	a, b := byLabels.Appender(), held.Appender()
	require.Nil(t, b.Lookup(m))
	for i, in := range []struct {
		clock, at, v float64
		delta        bool
	}{{0, 0, 1, false}, {1, 1, 2, false}, {2, 1, 3, false}, {3, 2.5, 4, true}, {4, 60, 5, false}, {5, 2, 6, false}, {6, 2, 7, true}, {200, 1, 8, false}, {201, 200, 9, true}} {
		c1.at(in.clock)
		c2.at(in.clock)
		a.Reset()
		b.Reset()
		add, addTo := a.Append, b.AppendTo
		if in.delta {
			add, addTo = a.Add, b.AddTo
		}
		want, wantErr := add(m, ms(in.at), in.v)
		ser := b.Lookup(m)
		if ser == nil {
			_, err := b.Append(m, ms(in.at), in.v)
			require.NoError(t, err)
			continue
		}
		got, err := addTo(ser, ms(in.at), in.v)
		require.Equal(t, want, got, "sample %d", i)
		require.Equal(t, wantErr, err, "sample %d", i)
		a.Commit()
		b.Commit()
		require.Equal(t, read(t, byLabels, "m", 0, 300), read(t, held, "m", 0, 300), "sample %d", i)
	}
}

func TestHeldSeriesThatWasFreedTakesNothing(t *testing.T) {
	s, c := newStore(t, Options{})
	push(t, s, m, 0, 1)
	a := s.Appender()
	ser := a.Lookup(m)
	require.False(t, ser.Freed())
	c.at(200)
	s.Sweep()
	require.True(t, ser.Freed())
	a.Reset()
	for _, add := range []func(*Series, int64, float64) (Outcome, error){a.AppendTo, a.AddTo} {
		_, err := add(ser, ms(200), 2)
		require.ErrorIs(t, err, ErrFreed)
	}
	a.Commit()
	require.Zero(t, s.SeriesCount())
	require.Empty(t, read(t, s, "m", 0, 300))
}

func TestAppendingToAHeldSeriesDoesNotAllocate(t *testing.T) {
	s, c := newStore(t, Options{MaxSamplesPerSeries: 4})
	a := s.Appender()
	i := 0.0
	push(t, s, m, i, i)
	ser := a.Lookup(m)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		i++
		c.at(i)
		a.Reset()
		if out, err := a.AppendTo(ser, ms(i), i); out != Stored || err != nil {
			t.Error(out, err)
		}
		a.Commit()
	}))
}
