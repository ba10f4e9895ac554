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

// ear is some selections and how often they called since it was last asked.
type ear struct {
	selections []*Selection
	calls      int
}

func listen(t *testing.T, s *Store, selectors ...[]*labels.Matcher) *ear {
	t.Helper()
	e := &ear{}
	for _, ms := range selectors {
		sel, err := s.Select(ms, 0, func() { e.calls++ })
		require.NoError(t, err)
		e.selections = append(e.selections, sel)
	}
	return e
}

func (e *ear) Arm() {
	for _, sel := range e.selections {
		sel.Arm()
	}
}

func (e *ear) Close() {
	for _, sel := range e.selections {
		sel.Close()
	}
}

// notified reports whether a selection called, and arms them.
func (e *ear) notified() bool {
	notified := e.calls > 0
	e.calls = 0
	e.Arm()
	return notified
}

func TestSelectionIsNotifiedOfItsSeriesAndNoOther(t *testing.T) {
	s, c := newStore(t, Options{})
	push(t, s, series("m", "ns", "a"), 0, 1)
	w := listen(t, s, sel("m", "ns", "a"), sel("n"))
	defer w.Close()
	anyName := listen(t, s, sel("", "ns", "b"))
	defer anyName.Close()
	require.False(t, w.notified(), "nothing has changed yet")

	c.at(1)
	push(t, s, series("m", "ns", "a"), 1, 2)
	require.True(t, w.notified(), "a known series")
	require.False(t, anyName.notified())
	push(t, s, series("m", "ns", "b"), 1, 2)
	require.False(t, w.notified(), "another namespace")
	require.True(t, anyName.notified(), "a new series, by a selector without a name")
	push(t, s, series("m", "ns", "a", "pod", "new"), 1, 2)
	require.True(t, w.notified(), "a new series")
	push(t, s, series("n"), 1, 2)
	require.True(t, w.notified(), "the second selector")
}

func TestSelectionIsNotifiedOnceUntilArmed(t *testing.T) {
	s, c := newStore(t, Options{})
	w := listen(t, s, sel("m"))
	defer w.Close()
	a := s.Appender()
	for i := range 100 {
		_, err := a.Append(series("m", "pod", string(rune('a'+i%26))), ms(float64(-i)/1000), 1)
		require.NoError(t, err)
	}
	require.Zero(t, w.calls, "a request notifies at its end")
	a.Commit()
	c.at(1)
	push(t, s, m, 1, 1)
	require.Equal(t, 1, w.calls, "not armed")
	w.Arm()
	c.at(2)
	push(t, s, m, 2, 1)
	require.Equal(t, 2, w.calls)
}

func TestSelectionIsNotifiedOfSilenceAndOfFreeing(t *testing.T) {
	s, c := newStore(t, Options{})
	w := listen(t, s, sel("m"))
	defer w.Close()
	for i := range 3 {
		c.at(float64(5 * i))
		push(t, s, m, float64(5*i), 1)
	}
	require.True(t, w.notified())
	c.at(17.4)
	s.Sweep()
	require.False(t, w.notified())
	c.at(17.5)
	s.Sweep()
	require.True(t, w.notified(), "became silent")
	s.Sweep()
	require.False(t, w.notified(), "silence is notified once")
	push(t, s, m, 17, 1)
	require.True(t, w.notified())
	c.at(100)
	s.Sweep()
	require.True(t, w.notified(), "became silent again")
	c.at(146)
	s.Sweep()
	require.True(t, w.notified(), "freed")
}

func TestClosedSelectionLeavesNothingBehind(t *testing.T) {
	s, _ := newStore(t, Options{})
	push(t, s, m, 0, 1)
	w := listen(t, s, sel("m"), sel("never"), sel(""))
	other := listen(t, s, sel("m"))
	ser := lookUp(s, m)
	require.Len(t, ser.selectionsLocked(), 3)
	w.Close()
	require.Equal(t, other.selections, ser.selectionsLocked())
	other.Close()
	require.Empty(t, ser.selectionsLocked())
	require.Empty(t, s.selections)
	require.Len(t, s.names, 1, "only the metric that has a series")
}
