package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

func series(name string, kv ...string) labels.Labels {
	return labels.FromStrings(append([]string{labels.MetricName, name}, kv...)...)
}

func TestLimitsRejectNewSeriesOnly(t *testing.T) {
	s, c := newStore(t, Options{MaxSeries: 3, MaxSeriesPerMetric: 2})
	push(t, s, series("a", "pod", "1"), 0, 1)
	push(t, s, series("a", "pod", "2"), 0, 1)
	a := s.Appender()
	out, err := a.Append(series("a", "pod", "3"), ms(0), 1)
	require.Equal(t, Rejected, out)
	require.ErrorIs(t, err, ErrMetricLimit)
	require.ErrorContains(t, err, "held are 2 series of a, whose label pod has 2 values in the newest 2")
	_, err = a.Append(series("b"), ms(0), 1)
	require.NoError(t, err)
	_, err = a.Append(series("c"), ms(0), 1)
	require.ErrorIs(t, err, ErrSeriesLimit)
	c.at(1)
	a.Commit()
	require.Equal(t, Stored, push(t, s, series("a", "pod", "1"), 1, 2), "a known series goes on")

	c.at(200)
	s.Sweep()
	require.Zero(t, s.SeriesCount())
	require.Equal(t, Stored, push(t, s, series("c"), 200, 1), "freed series make room")
	push(t, s, series("a", "pod", "3"), 200, 1)
}

func TestWithoutMemoryKnownSeriesGoOn(t *testing.T) {
	full := false
	s, c := newStore(t, Options{Full: func() bool { return full }})
	push(t, s, series("a"), 0, 1)
	full = true
	c.at(1)
	out, err := s.Appender().Append(series("b"), ms(0), 1)
	require.Equal(t, Rejected, out)
	require.ErrorIs(t, err, ErrNoMemory)
	require.Equal(t, Stored, push(t, s, series("a"), 1, 2))
	full = false
	require.Equal(t, Stored, push(t, s, series("b"), 1, 2))
}

func TestSweepFreesIdleSeriesAltogether(t *testing.T) {
	s, c := newStore(t, Options{})
	for i := range 100 {
		push(t, s, series("m", "pod", fmt.Sprint(i)), 0, 1)
	}
	c.at(100)
	push(t, s, series("m", "pod", "7"), 100, 1)
	c.at(120)
	s.Sweep()
	require.Equal(t, 100, s.SeriesCount(), "freed only after the retention")
	c.at(215)
	push(t, s, series("m", "pod", "7"), 215, 1)
	c.at(270)
	s.Sweep()
	require.Equal(t, 100, s.SeriesCount(), "and one and a half push intervals")
	c.at(280)
	s.Sweep()
	require.Equal(t, 1, s.SeriesCount())
	require.Len(t, read(t, s, "m", 0, 280), 1)
	require.Len(t, slices.Collect(s.index.All), 1, "nothing holds on to a freed series")
	c.at(500)
	s.Sweep()
	require.Empty(t, s.names)
	requireNoPairs(t, s)
}

func TestRunSweepsUntilDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Retention: time.Minute})
		a := s.Appender()
		_, err := a.Append(m, time.Now().UnixMilli(), 1)
		require.NoError(t, err)
		a.Commit()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(59 * time.Second)
		require.Equal(t, 1, s.SeriesCount())
		time.Sleep(time.Minute)
		require.Zero(t, s.SeriesCount())
		cancel()
		require.NoError(t, <-done)
	})
}

func TestSelectByEveryKindOfMatcher(t *testing.T) {
	s, _ := newStore(t, Options{})
	for _, l := range []labels.Labels{
		series("m", "pod", "a", "zone", "x"),
		series("m", "pod", "b", "zone", "y"),
		series("m", "pod", "c"),
		series("n", "pod", "a"),
	} {
		push(t, s, l, 0, 1)
	}
	eq, ne, re, nre := labels.MatchEqual, labels.MatchNotEqual, labels.MatchRegexp, labels.MatchNotRegexp
	for _, tc := range []struct {
		typ         labels.MatchType
		name, value string
		want        string
	}{
		{eq, "pod", "a", "a"},
		{eq, "pod", "zz", ""},
		{eq, "zone", "", "c"},
		{ne, "zone", "", "ab"},
		{ne, "zone", "x", "bc"},
		{re, "pod", "a|b", "ab"},
		{re, "pod", "[bc]", "bc"},
		{re, "zone", "x|", "ac"},
		{re, "zone", ".*", "abc"},
		{re, "zone", ".+", "ab"},
		{nre, "pod", "a|b", "c"},
		{nre, "zone", "x", "bc"},
		{nre, "zone", "", "ab"},
	} {
		ms := []*labels.Matcher{labels.MustNewMatcher(eq, labels.MetricName, "m"), labels.MustNewMatcher(tc.typ, tc.name, tc.value)}
		found, err := s.index.Find(context.Background(), ms...)
		require.NoError(t, err)
		got := ""
		for _, ser := range found {
			lset, ok := s.index.Labels(ser, &labels.ScratchBuilder{})
			require.True(t, ok)
			require.True(t, matchesAll(lset, ms))
			got += lset.Get("pod")
		}
		require.Equal(t, tc.want, got, "%s", ms[1])
	}
	all, err := s.index.Find(context.Background())
	require.NoError(t, err)
	require.Len(t, all, 4)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = s.index.Find(ctx, labels.MustNewMatcher(eq, "pod", "a"))
	require.ErrorIs(t, err, context.Canceled)
}

func TestLabelNamesAndValues(t *testing.T) {
	s, c := newStore(t, Options{})
	push(t, s, series("m", "pod", "b"), 0, 1)
	push(t, s, series("m", "pod", "a", "zone", "x"), 0, 1)
	push(t, s, series("n", "other", "o"), 0, 1)
	q, err := s.Querier(0, c.ms.Load())
	require.NoError(t, err)
	match := labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "m")
	values, _, err := q.LabelValues(t.Context(), "pod", nil, match)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, values)
	names, _, err := q.LabelNames(t.Context(), nil, match)
	require.NoError(t, err)
	require.Equal(t, []string{labels.MetricName, "pod", "zone"}, names)
	require.NoError(t, q.Close())
}

func TestPresenceTellsEndedFromLate(t *testing.T) {
	s, c := newStore(t, Options{})
	require.Equal(t, Presence{}, present(t, s, "m"))
	for i := range 3 {
		c.at(float64(5 * i))
		for _, pod := range []string{"stays", "ends", "dies"} {
			push(t, s, series("m", "pod", pod), float64(5*i), 1)
		}
	}
	require.Equal(t, Presence{Live: 3}, present(t, s, "m"))
	c.at(15)
	end(t, s, series("m", "pod", "ends"), 15)
	push(t, s, series("m", "pod", "stays"), 15, 1)
	c.at(17.499)
	require.Equal(t, Presence{Live: 2, Ended: 1}, present(t, s, "m"))
	c.at(17.5)
	require.Equal(t, Presence{Live: 1, Ended: 1, Late: 1}, present(t, s, "m"), "one and a half push intervals after the last")
}

// end appends a staleness marker.
func end(t *testing.T, s *Store, lset labels.Labels, at float64) {
	t.Helper()
	a := s.Appender()
	_, err := a.End(lset, ms(at))
	require.NoError(t, err)
	a.Commit()
}

func TestMetricsCountEveryOutcomeUnderAName(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	s, c := newStore(t, Options{MaxSeries: 1, MaxSamplesPerSeries: 2, Registerer: reg})
	c.at(10)
	push(t, s, m, 10, 1)                       // stored
	push(t, s, m, 9, 1)                        // out of order
	push(t, s, m, 9, 1)                        // duplicate
	c.at(11)                                   //
	push(t, s, m, 99, 1)                       // future, evicts 9
	a := s.Appender()                          //
	_, err := a.Append(series("x"), ms(11), 1) // rejected
	require.Error(t, err)
	_, err = a.Add(m, ms(3), 1) // dropped
	require.NoError(t, err)
	a.Commit()
	for o := range outcomes {
		require.InDelta(t, 1, testutil.ToFloat64(s.metrics.samples[o]), 0, o.String())
	}
	require.InDelta(t, 1, testutil.ToFloat64(s.metrics.evicted), 0)
	require.InDelta(t, 1, testutil.ToFloat64(s.metrics.rejected[ErrSeriesLimit]), 0)
	require.InDelta(t, 1, testutil.ToFloat64(s.metrics.created), 0)
	mfs, err := reg.Gather()
	require.NoError(t, err)
	problems, err := promlint.NewWithMetricFamilies(mfs).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
}

func requireNoPairs(t *testing.T, s *Store) {
	t.Helper()
	s.index.EachPair(func(name, value string) { t.Error(name, value) })
}
