package store

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

func sel(name string, kv ...string) []*labels.Matcher {
	var ms []*labels.Matcher
	if name != "" {
		ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, name))
	}
	for i := 0; i < len(kv); i += 2 {
		ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, kv[i], kv[i+1]))
	}
	return ms
}

func woken(w *Watch) bool {
	select {
	case <-w.Changed():
		w.Arm()
		return true
	default:
		return false
	}
}

func TestWatchHearsItsSeriesAndNoOther(t *testing.T) {
	s, c := newStore(t, Options{})
	push(t, s, series("m", "ns", "a"), 0, 1)
	w, err := s.Watch([][]*labels.Matcher{sel("m", "ns", "a"), sel("n")})
	require.NoError(t, err)
	defer w.Close()
	anyName, err := s.Watch([][]*labels.Matcher{sel("", "ns", "b")})
	require.NoError(t, err)
	defer anyName.Close()
	require.False(t, woken(w), "nothing has changed yet")

	c.at(1)
	push(t, s, series("m", "ns", "a"), 1, 2)
	require.True(t, woken(w), "a known series")
	require.False(t, woken(anyName))
	push(t, s, series("m", "ns", "b"), 1, 2)
	require.False(t, woken(w), "another namespace")
	require.True(t, woken(anyName), "a new series, by a selector without a name")
	push(t, s, series("m", "ns", "a", "pod", "new"), 1, 2)
	require.True(t, woken(w), "a new series")
	push(t, s, series("n"), 1, 2)
	require.True(t, woken(w), "the second selector")
}

func TestWatchIsWokenOnceUntilArmed(t *testing.T) {
	s, c := newStore(t, Options{})
	w, err := s.Watch([][]*labels.Matcher{sel("m")})
	require.NoError(t, err)
	defer w.Close()
	a := s.Appender()
	for i := range 100 {
		_, err := a.Append(series("m", "pod", string(rune('a'+i%26))), ms(float64(-i)/1000), 1)
		require.NoError(t, err)
	}
	require.Empty(t, w.changed, "a request wakes at its end")
	require.Len(t, a.touched, 1)
	a.Commit()
	c.at(1)
	push(t, s, m, 1, 1)
	<-w.Changed()
	require.Empty(t, w.changed)
	push(t, s, m, 1, 2)
	require.Empty(t, w.changed, "not armed")
	w.Arm()
	c.at(2)
	push(t, s, m, 2, 1)
	require.True(t, woken(w))
}

func TestWatchHearsOfSilenceAndOfFreeing(t *testing.T) {
	s, c := newStore(t, Options{})
	w, err := s.Watch([][]*labels.Matcher{sel("m")})
	require.NoError(t, err)
	defer w.Close()
	for i := range 3 {
		c.at(float64(5 * i))
		push(t, s, m, float64(5*i), 1)
	}
	require.True(t, woken(w))
	c.at(24)
	s.Sweep()
	require.False(t, woken(w))
	c.at(25)
	s.Sweep()
	require.True(t, woken(w), "fell silent")
	s.Sweep()
	require.False(t, woken(w), "silence is told once")
	push(t, s, m, 24, 1)
	require.True(t, woken(w))
	c.at(100)
	s.Sweep()
	require.True(t, woken(w), "fell silent again")
	c.at(146)
	s.Sweep()
	require.True(t, woken(w), "freed")
}

func TestClosedWatchLeavesNothingBehind(t *testing.T) {
	s, _ := newStore(t, Options{})
	push(t, s, m, 0, 1)
	w, err := s.Watch([][]*labels.Matcher{sel("m"), sel("never"), sel("")})
	require.NoError(t, err)
	other, err := s.Watch([][]*labels.Matcher{sel("m")})
	require.NoError(t, err)
	ser := s.stripes.get(hashOf(m), m, &s.index)
	require.Len(t, ser.watchesLocked(), 2)
	w.Close()
	require.Equal(t, []*Watch{other}, ser.watchesLocked())
	other.Close()
	require.Empty(t, ser.watchesLocked())
	require.Empty(t, s.watches.keys)
	require.Empty(t, s.watches.labels)
	require.Len(t, s.names, 1, "only the metric that has a series")
}
