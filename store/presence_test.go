package store

import (
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

func TestShowPutsLateSeriesFirstAndEndedOnesLast(t *testing.T) {
	s, c := newStore(t, Options{})
	pod := func(name string) labels.Labels { return labels.FromStrings(labels.MetricName, "m", "pod", name) }
	for i := range 4 {
		c.at(float64(5 * i))
		for _, name := range []string{"ended", "live", "late"} {
			push(t, s, pod(name), float64(5*i), float64(i))
		}
	}
	c.at(30)
	push(t, s, pod("live"), 30, 7)
	push(t, s, pod("ended"), 30, ring.StaleNaN)
	c.at(31)
	all := labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "m")
	p, shown, err := s.Show(t.Context(), 10, all)
	require.NoError(t, err)
	require.Equal(t, Presence{Live: 1, Ended: 1, Late: 1}, p)
	require.Equal(t, []Shown{
		{Labels: pod("late"), State: Late, Last: Point{ms(15), 3}},
		{Labels: pod("live"), State: Live, Last: Point{ms(30), 7}},
		{Labels: pod("ended"), State: Ended, Last: Point{ms(15), 3}},
	}, shown)
	p, shown, err = s.Show(t.Context(), 2, all)
	require.NoError(t, err)
	require.Equal(t, 1, p[Ended], "all are counted")
	require.Len(t, shown, 2)
	require.Equal(t, Live, shown[1].State)
}

// TestShowTakesRoomForWhatItShows: a selector may match a million series, and
// what is remembered of each state is not more than the limit.
func TestShowTakesRoomForWhatItShows(t *testing.T) {
	s, _ := newStore(t, Options{})
	for i := range 4000 {
		push(t, s, labels.FromStrings(labels.MetricName, "m", "pod", fmt.Sprint(i)), 0, 1)
	}
	all := labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "m")
	allocs := func(f func() error) float64 {
		return testing.AllocsPerRun(10, func() { require.NoError(t, f()) })
	}
	counted := allocs(func() error { _, _, err := s.Show(t.Context(), 0, all); return err })
	shown := allocs(func() error { _, _, err := s.Show(t.Context(), 1, all); return err })
	require.LessOrEqual(t, shown, counted+6, "one list, and what the one series takes")
}

func TestShowTellsHistogramsFromNumbers(t *testing.T) {
	s, _ := newStore(t, Options{})
	a := s.Appender()
	_, err := a.AppendHistogram(m, ms(0), &histogram.FloatHistogram{Count: 1, Sum: 1})
	require.NoError(t, err)
	a.Commit()
	_, shown, err := s.Show(t.Context(), 1, labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "m"))
	require.NoError(t, err)
	require.True(t, shown[0].Histogram)
}

func TestValuesAndMetrics(t *testing.T) {
	s, _ := newStore(t, Options{})
	for i := range 5 {
		push(t, s, labels.FromStrings(labels.MetricName, fmt.Sprint("m", i%2), "pod", fmt.Sprint(i)), 0, 1)
	}
	require.Equal(t, map[string]int{"m0": 3, "m1": 2}, s.Metrics())
	names, n, err := s.Values(t.Context(), labels.MetricName)
	require.NoError(t, err)
	require.Equal(t, []string{"m0", "m1"}, names)
	require.Equal(t, 5, n)
	pods, n, err := s.Values(t.Context(), "pod", labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "m1"))
	require.NoError(t, err)
	require.Equal(t, []string{"1", "3"}, pods)
	require.Equal(t, 2, n)
}
