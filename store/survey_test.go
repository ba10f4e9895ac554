package store

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/stretchr/testify/require"
)

// survey looks at the series of a selector. Its silent series come by their pods.
func survey(t *testing.T, s *Store, o SurveyOptions, kv ...string) (Survey, map[string]SilentSeries) {
	t.Helper()
	silent := map[string]SilentSeries{}
	o.Silent = func(one SilentSeries) {
		pod := s.index.Label(one.Series, "pod")
		require.NotContains(t, silent, pod)
		one.Series = nil
		silent[pod] = one
	}
	selection, err := s.Select(sel("m", kv...), 0, func() {})
	require.NoError(t, err)
	defer selection.Close()
	out, err := selection.Survey(t.Context(), o)
	require.NoError(t, err)
	return out, silent
}

func TestSurveyReportsLiveLateAndEndedSeries(t *testing.T) {
	s, c := newStore(t, Options{})
	out, silent := survey(t, s, SurveyOptions{At: ms(0)})
	require.Equal(t, Survey{Until: math.MaxInt64}, out, "no series")
	require.Empty(t, silent)
	steady(t, s, c, 0, map[string]func(float64) float64{"lives": constant(1), "late": constant(2), "ended": constant(3)}, 10)
	a := s.Appender()
	_, err := a.AppendHistogram(series("m", "pod", "native"), ms(10), &histogram.FloatHistogram{Count: 1})
	require.NoError(t, err)
	a.Commit()
	c.at(15)
	end(t, s, series("m", "pod", "ended"), 15)
	end(t, s, series("m", "pod", "native"), 15)
	steady(t, s, c, 15, map[string]func(float64) float64{"lives": constant(4)}, 15)

	out, silent = survey(t, s, SurveyOptions{At: ms(17.499)})
	require.Equal(t, Survey{Live: 2, Until: ms(17.5)}, out)
	require.Len(t, silent, 2)
	out, silent = survey(t, s, SurveyOptions{At: ms(17.5)})
	require.Equal(t, Survey{Live: 1, Until: ms(22.5)}, out)
	require.Equal(t, map[string]SilentSeries{
		"late":   {Arrived: ms(10), Interval: 5000, Value: 2},
		"ended":  {Arrived: ms(10), Ended: ms(15), Interval: 5000, Value: 3},
		"native": {Arrived: ms(10), Ended: ms(15), Interval: 120_000, Histogram: true},
	}, silent)
}

func TestSurveyReportsArrivalsNotSampleTimes(t *testing.T) {
	s, c := newStore(t, Options{})
	for at := 60.0; at <= 70; at += 5 {
		c.at(at)
		push(t, s, series("m", "pod", "lags"), at-50, 1)
	}
	out, _ := survey(t, s, SurveyOptions{At: ms(77.499)})
	require.Equal(t, Survey{Live: 1, Until: ms(77.5)}, out)
	_, silent := survey(t, s, SurveyOptions{At: ms(77.5)})
	require.Equal(t, ms(70), silent["lags"].Arrived)
	require.Equal(t, map[string]float64{"lags": 1}, view(t, s, View{At: silent["lags"].Arrived, AsOf: true}, 10).values, "it was live then")
}

// TestSurveysUntilIsWhenTheNextSeriesBecomesLate, or when its last sample is too old
// to stand for it.
func TestSurveysUntilIsWhenTheNextSeriesBecomesLate(t *testing.T) {
	s, c := newStore(t, Options{Retention: 2 * time.Minute, Lookback: time.Minute})
	steady(t, s, c, 0, map[string]func(float64) float64{"fast": constant(1)}, 10)
	push(t, s, series("m", "pod", "lags"), -45, 1)
	push(t, s, series("m", "pod", "new"), 10, 1)
	out, _ := survey(t, s, SurveyOptions{At: ms(10)})
	require.Equal(t, ms(15), out.Until, "the lookback after the lagging sample")
	out, _ = survey(t, s, SurveyOptions{At: ms(10)}, "pod", "fast")
	require.Equal(t, ms(17.5), out.Until)
}

func TestSurveyReportsNegativeValuesOfLiveSeries(t *testing.T) {
	s, c := newStore(t, Options{})
	steady(t, s, c, 0, map[string]func(float64) float64{"negative": constant(-1), "positive": constant(1)}, 10)
	out, _ := survey(t, s, SurveyOptions{At: ms(10)})
	require.True(t, out.Negative)
	end(t, s, series("m", "pod", "negative"), 10)
	out, _ = survey(t, s, SurveyOptions{At: ms(10)})
	require.False(t, out.Negative)
}

func TestRestoredSeriesAreSilentInASurvey(t *testing.T) {
	before, c := newStore(t, Options{})
	steady(t, before, c, 0, map[string]func(float64) float64{"a": constant(1)}, 10)
	s, _ := restoredAt(t, before, 20, Options{})
	out, silent := survey(t, s, SurveyOptions{At: ms(21)})
	require.Zero(t, out.Live)
	require.Equal(t, map[string]SilentSeries{"a": {Arrived: ms(20), Interval: 5000, Value: 1}}, silent, "as if it had arrived so much later")
}

// TestSurveyReportsSeriesThatDoNotCoverTheWindow. The window is the minute before
// 100 s; the series is pushed every five seconds up to then.
func TestSurveyReportsSeriesThatDoNotCoverTheWindow(t *testing.T) {
	for name, tc := range map[string]struct {
		start       float64 // of the counter; 0 if none is known
		first       float64 // when it was pushed first
		without     [2]float64
		ends        float64 // when a staleness marker is pushed
		limit       int
		newSince    float64
		accumulates bool
		uncovered   int
	}{
		"the whole window":                        {first: 30, newSince: 1000},
		"one missed push at the window's start":   {first: 52, newSince: 1000},
		"from the middle of the window":           {first: 70, newSince: 1000, uncovered: 1},
		"a new series":                            {first: 70, newSince: 70},
		"a series that the sender may have known": {first: 70, newSince: 70.001, uncovered: 1},
		"a start in the window":                   {start: 68, first: 70, newSince: 1000},
		"a start at the first sample":             {start: 70, first: 70, newSince: 1000},
		"a start before the window":               {start: 10, first: 70, newSince: 1000},
		"a start before the store":                {start: -500, first: 70, uncovered: 1},
		"a gap at the window's start":             {first: 10, without: [2]float64{34, 56}, accumulates: true, uncovered: 1},
		"a gap of one push at the window's start": {first: 10, without: [2]float64{36, 42}, accumulates: true},
		"a gap that nothing is added up over":     {first: 10, without: [2]float64{34, 56}},
		"ended and back in the window":            {first: 10, without: [2]float64{34, 72}, ends: 35, accumulates: true, uncovered: 1},
		"the oldest samples were dropped":         {start: 20, first: 21, limit: 8, uncovered: 1},
		"dropped, but before the window":          {start: 20, first: 21, limit: 13, newSince: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := newStore(t, Options{MaxSamplesPerSeries: tc.limit})
			for at := tc.first; at <= 100; at += 5 {
				if at > tc.without[0] && at < tc.without[1] {
					continue
				}
				if tc.ends > 0 && at > tc.ends {
					c.at(tc.ends)
					end(t, s, series("m", "pod", "a"), tc.ends)
					tc.ends = 0
				}
				c.at(at)
				a := s.Appender()
				if tc.start != 0 {
					a.Since(ms(tc.start))
				}
				_, err := a.Append(series("m", "pod", "a"), ms(at), at)
				require.NoError(t, err)
				a.Commit()
			}
			c.at(100)
			o := SurveyOptions{At: ms(100), Window: 60_000, Accumulates: tc.accumulates, NewSince: ms(tc.newSince)}
			out, _ := survey(t, s, o)
			require.Equal(t, 1, out.Live)
			require.Equal(t, tc.uncovered, out.Uncovered)
			o.Window = 0
			out, _ = survey(t, s, o)
			require.Zero(t, out.Uncovered, "the newest sample is all there is to read")
		})
	}
}

// TestASilentSeriesThatBeganInTheWindowDoesNotCoverIt, where the reader adds up what is
// in the window: the load that the series took over leaves the window.
func TestASilentSeriesThatBeganInTheWindowDoesNotCoverIt(t *testing.T) {
	for name, tc := range map[string]struct {
		first                  float64
		accumulates, uncovered bool
	}{
		"it began in the window":                {first: 70, accumulates: true, uncovered: true},
		"and the reader looks at single values": {first: 70},
		"it began before the window":            {first: 30, accumulates: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := newStore(t, Options{})
			for at := tc.first; at <= 100; at += 5 {
				c.at(at)
				a := s.Appender()
				a.Since(ms(tc.first))
				_, err := a.Append(series("m", "pod", "a"), ms(at), at)
				require.NoError(t, err)
				a.Commit()
			}
			o := SurveyOptions{At: ms(100), Window: 60_000, Accumulates: tc.accumulates}
			out, _ := survey(t, s, o)
			require.Equal(t, 1, out.Live)
			require.Zero(t, out.Uncovered, "as long as it is pushed")
			c.at(130)
			o.At = ms(130)
			out, silent := survey(t, s, o)
			require.Zero(t, out.Live)
			require.Equal(t, tc.uncovered, silent["a"].Uncovered)
		})
	}
}

// TestADeltaSeriesBeganWithItsFirstDelta: its total is zero before.
func TestADeltaSeriesBeganWithItsFirstDelta(t *testing.T) {
	s, c := newStore(t, Options{})
	for at := 70.0; at <= 100; at += 5 {
		c.at(at)
		a := s.Appender()
		_, err := a.Add(series("m", "pod", "a"), ms(at), 1)
		require.NoError(t, err)
		a.Commit()
	}
	out, _ := survey(t, s, SurveyOptions{At: ms(100), Window: 60_000, Accumulates: true, NewSince: ms(1000)})
	require.Equal(t, Survey{Live: 1, Until: ms(107.5)}, out)
}

// TestSilentSeriesAreNotUncovered: they are missing as a whole.
func TestSilentSeriesAreNotUncovered(t *testing.T) {
	s, c := newStore(t, Options{})
	steady(t, s, c, 70, map[string]func(float64) float64{"a": constant(1), "b": constant(1)}, 100)
	c.at(103)
	end(t, s, series("m", "pod", "a"), 103)
	out, silent := survey(t, s, SurveyOptions{At: ms(103), Window: 60_000, NewSince: ms(1000)})
	require.Equal(t, 1, out.Uncovered)
	require.Len(t, silent, 1)
}
