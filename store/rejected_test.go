package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// reject appends a sample that must be rejected.
func reject(t *testing.T, s *Store, lset labels.Labels, at, v float64, why error) {
	t.Helper()
	a := s.Appender()
	out, err := a.Append(lset, ms(at), v)
	require.Equal(t, Rejected, out)
	require.ErrorIs(t, err, why)
	a.Commit()
}

func TestRejectedAsTooOldCountsForOneRetention(t *testing.T) {
	s, c := newStore(t, Options{})
	c.at(300)
	require.NoError(t, s.Rejected(false, sel("m")...))
	reject(t, s, series("m", "pod", "idle"), 100, 0, ErrTooOld)
	require.NoError(t, s.Rejected(false, sel("m")...), "a zero takes no load away")
	require.ErrorIs(t, s.Rejected(true, sel("m")...), ErrTooOld, "where it counts it is missing")
	reject(t, s, series("m", "pod", "a"), 100, 1, ErrTooOld)
	require.ErrorIs(t, s.Rejected(false, sel("m")...), ErrTooOld)
	require.ErrorIs(t, s.Rejected(false, sel("m", "pod", "a")...), ErrTooOld)
	require.NoError(t, s.Rejected(false, sel("m", "pod", "b")...), "of another series")
	require.NoError(t, s.Rejected(false, sel("n")...), "of another metric")
	c.at(419.999)
	require.ErrorIs(t, s.Rejected(false, sel("m")...), ErrTooOld)
	c.at(420)
	require.NoError(t, s.Rejected(false, sel("m")...))
	c.at(421)
	require.NoError(t, s.Rejected(false, sel("m")...))
	require.Empty(t, s.rejected.series)
	require.Empty(t, s.rejected.spaces)
	require.Empty(t, s.rejected.names)
	require.Zero(t, s.SeriesCount())
}

func TestRejectedByALimitCountsForAMinute(t *testing.T) {
	full := false
	s, c := newStore(t, Options{MaxSeries: 2, MaxSeriesPerMetric: 1, Full: func() bool { return full }})
	full = true
	reject(t, s, series("m", "pod", "1"), 0, 1, ErrNoMemory)
	require.Equal(t, ErrNoMemory, s.Rejected(false, sel("m")...))
	full = false
	push(t, s, series("m", "pod", "0"), 0, 1)
	reject(t, s, series("m", "pod", "1"), 0, 1, ErrMetricLimit)
	require.Equal(t, ErrMetricLimit, s.Rejected(false, sel("m")...), "the newest reason, without its figures")
	push(t, s, series("n"), 0, 1)
	reject(t, s, series("x"), 0, 1, ErrSeriesLimit)
	require.Equal(t, ErrSeriesLimit, s.Rejected(false, sel("x")...))
	require.NoError(t, s.Rejected(false, sel("n")...))
	c.at(40)
	reject(t, s, series("x"), 40, 1, ErrSeriesLimit)
	c.at(60)
	require.NoError(t, s.Rejected(false, sel("m")...))
	require.Error(t, s.Rejected(false, sel("x")...), "as long as rejections go on")
	c.at(100)
	require.NoError(t, s.Rejected(false, sel("x")...))
}

// TestRejectedSamplesOfALiveSeriesDoNotCount: its load is there.
func TestRejectedSamplesOfALiveSeriesDoNotCount(t *testing.T) {
	s, c := newStore(t, Options{})
	c.at(300)
	push(t, s, series("m", "pod", "a"), 300, 0)
	a := s.Appender()
	_, err := a.AppendTo(a.Lookup(series("m", "pod", "a")), ms(100), 1)
	require.ErrorIs(t, err, ErrTooOld)
	a.Commit()
	require.NoError(t, s.Rejected(false, sel("m")...))
	c.at(301)
	end(t, s, series("m", "pod", "a"), 301)
	require.ErrorIs(t, s.Rejected(false, sel("m")...), ErrTooOld, "not live anymore")
	c.at(302)
	push(t, s, series("m", "pod", "a"), 302, 2)
	require.NoError(t, s.Rejected(false, sel("m")...), "live again")
	reject(t, s, series("m", "pod", "b"), 100, 1, ErrTooOld)
	require.ErrorIs(t, s.Rejected(false, sel("m")...), ErrTooOld, "another that matches is not")
}

// TestRejectedSeriesAreBoundedAndSharedByNamespace: a sender with many series does not
// hide the load of others.
func TestRejectedSeriesAreBoundedAndSharedByNamespace(t *testing.T) {
	registry := prometheus.NewRegistry()
	s, c := newStore(t, Options{Registerer: registry})
	c.at(300)
	for i := range maxRejected + 10 {
		reject(t, s, series("m", "namespace", "many", "pod", fmt.Sprint(i)), 100, 1, ErrTooOld)
	}
	require.Len(t, s.rejected.series, maxRejected)
	require.EqualValues(t, 10, testutil.ToFloat64(s.rejected.unlisted))
	require.True(t, s.Unlisted(sel("m", "namespace", "many")...))
	require.False(t, s.Unlisted(sel("m", "namespace", "few")...))
	c.at(420)
	require.False(t, s.Unlisted(sel("m", "namespace", "many")...), "one retention later")
	c.at(300)
	for i := range 100 {
		reject(t, s, series("m", "k8s_namespace_name", "few", "pod", fmt.Sprint(i)), 100, 1, ErrTooOld)
	}
	require.Equal(t, map[string]int{"many": maxRejected - 100, "few": 100}, s.rejected.spaces)
	require.Len(t, s.rejected.series, maxRejected)
	require.EqualValues(t, 10, testutil.ToFloat64(s.rejected.unlisted))
	for i := range 100 {
		require.ErrorIs(t, s.Rejected(false, sel("m", "k8s_namespace_name", "few", "pod", fmt.Sprint(i))...), ErrTooOld)
	}
	for i := range maxRejected {
		reject(t, s, series("m", "k8s_namespace_name", "few", "pod", fmt.Sprint(i)), 100, 1, ErrTooOld)
	}
	require.Equal(t, map[string]int{"many": maxRejected / 2, "few": maxRejected / 2}, s.rejected.spaces, "half each")
	overflow := testutil.ToFloat64(s.rejected.unlisted)
	require.Positive(t, overflow)
	reject(t, s, series("m", "k8s_namespace_name", "few", "pod", "0"), 100, 1, ErrTooOld)
	require.Equal(t, overflow, testutil.ToFloat64(s.rejected.unlisted), "a known series needs no room")
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP keda_otel_scaler_rejected_series_unlisted_total Rejections of load whose series found no room in the list of rejected series: results without them count as complete.
# TYPE keda_otel_scaler_rejected_series_unlisted_total counter
keda_otel_scaler_rejected_series_unlisted_total `+fmt.Sprint(overflow)+"\n"), "keda_otel_scaler_rejected_series_unlisted_total"))
	require.Zero(t, s.SeriesCount())
	c.at(420)
	reject(t, s, series("m", "namespace", "many", "pod", "new"), 100, 1, ErrTooOld)
	require.Equal(t, map[string]int{"many": 1}, s.rejected.spaces, "the others are too long ago")
}

// TestARejectedSeriesDoesNotReferToTheRequest: its labels are a part of the request.
func TestARejectedSeriesDoesNotReferToTheRequest(t *testing.T) {
	s, c := newStore(t, Options{})
	c.at(300)
	b := labels.NewScratchBuilder(2)
	b.Add(labels.MetricName, "m")
	b.Add("pod", "a")
	var lset labels.Labels
	b.Overwrite(&lset)
	reject(t, s, lset, 100, 1, ErrTooOld)
	b.Reset()
	b.Add(labels.MetricName, "x")
	b.Add("pod", "b")
	b.Overwrite(&lset) // where the others were
	require.ErrorIs(t, s.Rejected(false, sel("m", "pod", "a")...), ErrTooOld)
}

// TestRejectedSeriesMoveWithTheClock: what was rejected a second ago was so before the
// clock was set.
func TestRejectedSeriesMoveWithTheClock(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		c := &twoClocks{}
		s := New(c.options())
		reject(t, s, m, -200, 1, ErrTooOld)
		c.set(by)
		c.wait(119 * time.Second)
		require.ErrorIs(t, s.Rejected(false, sel("m")...), ErrTooOld, by)
		c.wait(time.Second)
		require.NoError(t, s.Rejected(false, sel("m")...), by)
	}
}

// BenchmarkRejected is what an evaluation pays while as many series are rejected as are
// stored, of another metric and of its own.
func BenchmarkRejected(b *testing.B) {
	s, c := newStore(b, Options{})
	c.at(300)
	a := s.Appender()
	for i := range maxRejected {
		_, _ = a.Append(series("bomb", "namespace", "a", "deployment", fmt.Sprint(i%100), "pod", fmt.Sprint(i)), ms(100), 1)
	}
	for _, name := range []string{"other", "bomb"} {
		selector := sel(name, "namespace", "a", "deployment", "x")
		b.Run(name, func(b *testing.B) {
			for range b.N {
				if err := s.Rejected(false, selector...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
