package store

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOverdueIsRemembered for the retention: of load, by its labels, so many.
func TestOverdueIsRemembered(t *testing.T) {
	s, c := newStore(t, Options{})
	require.False(t, s.TooOld(sel("m")...))
	refuse := func(pod string, v float64) {
		t.Helper()
		a := s.Appender()
		out, err := a.Append(series("m", "pod", pod), c.ms.Load()-180_000, v)
		require.Equal(t, Rejected, out)
		require.ErrorIs(t, err, ErrTooOld)
		a.Commit()
	}
	refuse("idle", 0)
	require.False(t, s.TooOld(sel("m")...), "it takes no load away")
	refuse("a", 1)
	require.True(t, s.TooOld(sel("m")...))
	require.True(t, s.TooOld(sel("m", "pod", "a")...))
	require.False(t, s.TooOld(sel("m", "pod", "b")...))
	c.at(119)
	push(t, s, series("m", "pod", "held"), 119, 1)
	a := s.Appender()
	_, err := a.AppendTo(a.Lookup(series("m", "pod", "held")), ms(-100), 1)
	require.ErrorIs(t, err, ErrTooOld)
	require.True(t, s.TooOld(sel("m", "pod", "a")...))
	require.True(t, s.TooOld(sel("m", "pod", "held")...))
	c.at(121)
	require.False(t, s.TooOld(sel("m", "pod", "a")...))
	for i := range maxTooOld + 10 {
		refuse(fmt.Sprint(i), 1)
	}
	require.Len(t, s.tooOld.series, maxTooOld)
	require.Zero(t, s.SeriesCount()-1)
	c.at(300)
	require.False(t, s.TooOld(sel("m")...))
	require.Empty(t, s.tooOld.series)
}
