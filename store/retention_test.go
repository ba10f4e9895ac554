package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// window selects all of m for a reader that looks so far back.
func window(t *testing.T, s *Store, back time.Duration) *Selection {
	t.Helper()
	selection, err := s.Select(sel("m"), back, func() {})
	require.NoError(t, err)
	return selection
}

// oldest is the time of m's oldest sample that a query reads.
func oldest(t *testing.T, s *Store, now float64) float64 { return one(t, s, 0, now)[0].T }

// TestRetentionFollowsASelectionsWindow: two push intervals and 30 seconds more, for
// the samples and for the series.
func TestRetentionFollowsASelectionsWindow(t *testing.T) {
	s, c := newStore(t, Options{})
	push(t, s, m, 0, 1)
	selection := window(t, s, 5*time.Minute)
	now := 0.0
	for now < 600 {
		now += 10
		c.at(now)
		push(t, s, m, now, 1)
		push(t, s, series("other"), now, 1)
		s.Sweep()
	}
	require.InDelta(t, now-350, oldest(t, s, now), 0)
	require.InDelta(t, now-120, read(t, s, "other", 0, now)[series("other").String()][0].T, 0, "a series that nothing selects")
	points, err := func() ([]Point, error) {
		in, err := selection.Instant(t.Context(), &View{At: ms(now)})
		require.NoError(t, err)
		return in.Range(0, 300_000, true, nil)
	}()
	require.NoError(t, err)
	require.Len(t, points, 30)

	c.at(now + 364)
	s.Sweep()
	require.Equal(t, 1, s.SeriesCount(), "the other one is freed")
	c.at(now + 366)
	s.Sweep()
	require.Zero(t, s.SeriesCount())
	selection.Close()
}

func TestRetentionGoesBackAfterClose(t *testing.T) {
	s, c := newStore(t, Options{})
	push(t, s, m, 0, 1)
	selection, longer := window(t, s, 5*time.Minute), window(t, s, 8*time.Minute)
	for at := 10.0; at <= 200; at += 10 {
		c.at(at)
		push(t, s, m, at, 1)
	}
	require.InDelta(t, 0, oldest(t, s, 200), 0)
	longer.Close()
	c.at(400)
	require.InDelta(t, 50, oldest(t, s, 400), 0, "the window of the other selection")
	selection.Close()
	c.at(310)
	require.InDelta(t, 190, oldest(t, s, 310), 0)
	c.at(336)
	s.Sweep()
	require.Zero(t, s.SeriesCount())
}

func TestRetentionOfAWindowIsBounded(t *testing.T) {
	s, c := newStore(t, Options{MaxRetention: 4 * time.Minute})
	push(t, s, m, 0, 1)
	defer window(t, s, time.Hour).Close()
	for at := 10.0; at <= 600; at += 10 {
		c.at(at)
		push(t, s, m, at, 1)
	}
	require.InDelta(t, 600-240-50, oldest(t, s, 600), 0)
}

// TestRetentionCoversAWindowThatAlmostReachesIt: the samples before the window tell
// whether it is covered.
func TestRetentionCoversAWindowThatAlmostReachesIt(t *testing.T) {
	for back, want := range map[time.Duration]float64{
		0: 120, 90 * time.Second: 120, 100 * time.Second: 150, 2 * time.Minute: 170,
	} {
		s, c := newStore(t, Options{})
		push(t, s, m, 0, 1)
		selection := window(t, s, back)
		for at := 10.0; at <= 600; at += 10 {
			c.at(at)
			push(t, s, m, at, 1)
		}
		require.InDelta(t, 600-want, oldest(t, s, 600), 0, back)
		selection.Close()
	}
}

// TestAWindowAcceptsNoOlderSamples: senders that are late by more than the retention
// are rejected all the same.
func TestAWindowAcceptsNoOlderSamples(t *testing.T) {
	s, c := newStore(t, Options{})
	c.at(300)
	push(t, s, m, 300, 1)
	defer window(t, s, 5*time.Minute).Close()
	reject(t, s, m, 179.9, 1, ErrTooOld)
}
