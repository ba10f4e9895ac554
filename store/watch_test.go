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

// ear is a watch and how often it was called since it was last asked.
type ear struct {
	*Watch
	calls int
}

func listen(t *testing.T, s *Store, selectors ...[]*labels.Matcher) *ear {
	t.Helper()
	e := &ear{}
	w, err := s.Watch(selectors, func() { e.calls++ })
	require.NoError(t, err)
	e.Watch = w
	return e
}

// told tells whether the watch was called, and arms it.
func (e *ear) told() bool {
	told := e.calls > 0
	e.calls = 0
	e.Arm()
	return told
}

func TestWatchHearsItsSeriesAndNoOther(t *testing.T) {
	s, c := newStore(t, Options{})
	push(t, s, series("m", "ns", "a"), 0, 1)
	w := listen(t, s, sel("m", "ns", "a"), sel("n"))
	defer w.Close()
	anyName := listen(t, s, sel("", "ns", "b"))
	defer anyName.Close()
	require.False(t, w.told(), "nothing has changed yet")

	c.at(1)
	push(t, s, series("m", "ns", "a"), 1, 2)
	require.True(t, w.told(), "a known series")
	require.False(t, anyName.told())
	push(t, s, series("m", "ns", "b"), 1, 2)
	require.False(t, w.told(), "another namespace")
	require.True(t, anyName.told(), "a new series, by a selector without a name")
	push(t, s, series("m", "ns", "a", "pod", "new"), 1, 2)
	require.True(t, w.told(), "a new series")
	push(t, s, series("n"), 1, 2)
	require.True(t, w.told(), "the second selector")
}

func TestWatchIsToldOnceUntilArmed(t *testing.T) {
	s, c := newStore(t, Options{})
	w := listen(t, s, sel("m"))
	defer w.Close()
	a := s.Appender()
	for i := range 100 {
		_, err := a.Append(series("m", "pod", string(rune('a'+i%26))), ms(float64(-i)/1000), 1)
		require.NoError(t, err)
	}
	require.Zero(t, w.calls, "a request tells at its end")
	a.Commit()
	c.at(1)
	push(t, s, m, 1, 1)
	require.Equal(t, 1, w.calls, "not armed")
	w.Arm()
	c.at(2)
	push(t, s, m, 2, 1)
	require.Equal(t, 2, w.calls)
}

func TestWatchHearsOfSilenceAndOfFreeing(t *testing.T) {
	s, c := newStore(t, Options{})
	w := listen(t, s, sel("m"))
	defer w.Close()
	for i := range 3 {
		c.at(float64(5 * i))
		push(t, s, m, float64(5*i), 1)
	}
	require.True(t, w.told())
	c.at(24)
	s.Sweep()
	require.False(t, w.told())
	c.at(25)
	s.Sweep()
	require.True(t, w.told(), "fell silent")
	s.Sweep()
	require.False(t, w.told(), "silence is told once")
	push(t, s, m, 24, 1)
	require.True(t, w.told())
	c.at(100)
	s.Sweep()
	require.True(t, w.told(), "fell silent again")
	c.at(146)
	s.Sweep()
	require.True(t, w.told(), "freed")
}

func TestClosedWatchLeavesNothingBehind(t *testing.T) {
	s, _ := newStore(t, Options{})
	push(t, s, m, 0, 1)
	w := listen(t, s, sel("m"), sel("never"), sel(""))
	other := listen(t, s, sel("m"))
	ser := s.stripes.get(hashOf(m), m, &s.index)
	require.Len(t, ser.watchesLocked(), 2)
	w.Close()
	require.Equal(t, []*Watch{other.Watch}, ser.watchesLocked())
	other.Close()
	require.Empty(t, ser.watchesLocked())
	require.Empty(t, s.watches.keys)
	require.Empty(t, s.watches.labels)
	require.Len(t, s.names, 1, "only the metric that has a series")
}
