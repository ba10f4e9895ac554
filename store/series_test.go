package store

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

func TestSamplesByTime(t *testing.T) {
	s, c := newStore(t, Options{})
	c.at(100)
	require.Equal(t, Stored, push(t, s, m, 90, 1))
	require.Equal(t, Stored, push(t, s, m, 100, 3))
	require.Equal(t, OutOfOrder, push(t, s, m, 95, 2), "a late sample takes its place and does not win")
	require.Equal(t, Duplicate, push(t, s, m, 95, 7), "the first sample of a time stays")
	require.Equal(t, Duplicate, push(t, s, m, 100, 7))
	require.Equal(t, []pt{{90, 1}, {95, 2}, {100, 3}}, one(t, s, 0, 100))

	c.at(101)
	require.Equal(t, Future, push(t, s, m, 4000, 4), "a sample from the future is stored at its arrival")
	require.Equal(t, Future, push(t, s, m, 4005, 5), "the later of two that arrive together wins")
	require.Equal(t, []pt{{90, 1}, {95, 2}, {100, 3}, {101, 5}}, one(t, s, 0, 5000)[:4])
}

// TestFastClockSendsTwice: the newest sample sent once more is no news, though
// it is moved to another time.
func TestFastClockSendsTwice(t *testing.T) {
	s, c := newStore(t, Options{})
	c.at(1)
	require.Equal(t, Future, push(t, s, m, 100, 3))
	c.at(2)
	require.Equal(t, Duplicate, push(t, s, m, 100, 3))
	require.Equal(t, Future, push(t, s, m, 99, 4), "a clock that was set back goes on")
	require.Equal(t, []pt{{1, 3}, {2, 4}}, one(t, s, 0, 2))
	add := func(at, v float64) Outcome {
		a := s.Appender()
		defer a.Commit()
		out, err := a.Add(series("d"), ms(at), v)
		require.NoError(t, err)
		return out
	}
	require.Equal(t, Future, add(100, 10))
	c.at(3)
	require.Equal(t, Dropped, add(100, 10), "a delta counts once")
	require.Equal(t, Future, add(105, 1))
	require.Equal(t, []pt{{2, 10}, {3, 11}}, read(t, s, "d", 0, 3)[series("d").String()])
}

// TestMarkerAtTheTimeOfTheNewestSample: the end is heard, and the sample kept.
func TestMarkerAtTheTimeOfTheNewestSample(t *testing.T) {
	s, c := newStore(t, Options{})
	push(t, s, m, 0, 1)
	for _, want := range []Outcome{Stored, Duplicate} {
		a := s.Appender()
		out, err := a.End(m, ms(0))
		require.NoError(t, err)
		require.Equal(t, want, out)
		a.Commit()
	}
	c.at(1)
	require.Equal(t, []pt{{0, 1}, {0.001, marker}}, one(t, s, 0, 1))
}

func TestSampleOlderThanRetentionIsRejectedAndMakesNoSeries(t *testing.T) {
	s, c := newStore(t, Options{Retention: time.Minute})
	c.at(100)
	a := s.Appender()
	defer a.Commit()
	out, err := a.Append(m, ms(39.9), 1)
	require.Equal(t, Rejected, out)
	require.ErrorIs(t, err, ErrTooOld)
	require.ErrorContains(t, err, "1m0s")
	require.Zero(t, s.SeriesCount())
	_, err = a.Append(m, ms(40), 1)
	require.NoError(t, err)
}

func TestSeriesIsLateAfterOneAndAHalfPushIntervals(t *testing.T) {
	for _, tc := range []struct {
		name     string
		interval float64
		late     float64 // seconds after the last push
	}{
		{"at least two seconds", 1, 2},
		{"one and a half intervals", 7, 10.5},
		{"at most the lookback", 85, 120},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, c := newStore(t, Options{})
			last := 0.0
			for i := range 4 {
				last = float64(i) * tc.interval
				c.at(last)
				push(t, s, m, last, 1)
			}
			c.at(last + 119)
			pts := one(t, s, last, last+tc.late-0.001)
			require.Equal(t, []pt{{last, 1}}, pts)
			pts = one(t, s, last, last+tc.late)
			require.Equal(t, []pt{{last, 1}, {last + tc.late, marker}}, pts)
		})
	}
}

func TestSingleSampleStandsForTheLookback(t *testing.T) {
	s, c := newStore(t, Options{Lookback: time.Minute})
	push(t, s, m, 0, 1)
	c.at(100)
	require.Equal(t, []pt{{0, 1}}, one(t, s, 0, 59.999))
	require.Equal(t, []pt{{0, 1}, {60, marker}}, one(t, s, 0, 60))
}

// TestPodThatCrashesAtOnce: a series with a single push has the push interval of
// its metric, the longest among its live series.
func TestPodThatCrashesAtOnce(t *testing.T) {
	s, c := newStore(t, Options{})
	crashed := series("m", "pod", "crashed")
	for i := range 7 {
		c.at(float64(i))
		push(t, s, series("m", "pod", "fast"), float64(i), 1)
		if i%3 == 0 {
			push(t, s, series("m", "pod", "slow"), float64(i), 1)
		}
	}
	push(t, s, crashed, 6, 1)
	s.Sweep()
	s.Sweep() // which finds the same
	c.at(100)
	require.Equal(t, []pt{{6, 1}, {10.5, marker}}, read(t, s, "m", 0, 100)[crashed.String()], "the slow one's")

	s, c = newStore(t, Options{})
	for _, at := range []float64{0, 20} {
		c.at(at)
		push(t, s, series("m", "pod", "slow"), at, 1)
	}
	push(t, s, crashed, 20, 1)
	push(t, s, series("other"), 20, 1)
	s.Sweep()
	c.at(100)
	require.Equal(t, []pt{{20, 1}, {50, marker}}, read(t, s, "m", 0, 100)[crashed.String()])
	require.Equal(t, []pt{{20, 1}}, read(t, s, "other", 0, 100)[series("other").String()], "another metric's push interval does not count")
}

func TestLaggingSenderIsLiveWhileItPushes(t *testing.T) {
	s, c := newStore(t, Options{})
	for i := range 10 {
		c.at(float64(60 + 5*i))
		push(t, s, m, float64(5*i), 1) // a minute behind
	}
	require.Len(t, one(t, s, 0, 105), 10, "no marker while pushes arrive")
	c.at(112.5)
	require.Equal(t, pt{112.5, marker}, last(one(t, s, 0, 112.5)), "7.5 seconds after the last arrival")
}

// TestBatchesCountAsOnePush: a sender that scrapes every five seconds and sends
// every minute misses nothing in between.
func TestBatchesCountAsOnePush(t *testing.T) {
	s, c := newStore(t, Options{Retention: 5 * time.Minute})
	for batch := range 3 {
		c.at(float64(60 * (batch + 1)))
		a := s.Appender()
		for i := range 12 {
			_, err := a.Append(m, ms(float64(60*batch+5*i)), 1)
			require.NoError(t, err)
		}
		a.Commit()
	}
	c.at(180 + 59)
	require.NotEqual(t, float64(marker), last(one(t, s, 0, 239)).V)
	c.at(180 + 180)
	require.Equal(t, pt{270, marker}, last(one(t, s, 60, 360)))
}

// TestQueuedRequestsDoNotShortenThePushInterval: after an outage a sender flushes its
// queue within milliseconds; its interval is still what its samples say.
func TestQueuedRequestsDoNotShortenThePushInterval(t *testing.T) {
	s, c := newStore(t, Options{Retention: 10 * time.Minute})
	c.at(0)
	push(t, s, m, 0, 1)
	for i := range 8 {
		c.at(300 + float64(i)/100)
		push(t, s, m, float64(30*(i+1)), 1)
	}
	c.at(330)
	require.NotEqual(t, float64(marker), last(one(t, s, 0, 330)).V)
}

// intervals pushes after each of the gaps (seconds), and returns the push interval
// after each but the first.
func intervals(t *testing.T, gaps ...float64) (learned []uint32) {
	t.Helper()
	s, c := newStore(t, Options{Retention: 10 * time.Minute})
	push(t, s, m, 0, 1)
	at := 0.0
	for _, gap := range gaps {
		at += gap
		c.at(at)
		push(t, s, m, at, 1)
		learned = append(learned, lookUp(s, m).interval)
	}
	return learned
}

// TestOneLongGapDoesNotChangeThePushInterval: after a minute's outage a pod that dies
// is late as soon as before.
func TestOneLongGapDoesNotChangeThePushInterval(t *testing.T) {
	require.Equal(t, []uint32{5000, 5000, 5000, 5000, 5000}, intervals(t, 5, 5, 60, 5, 5))
	require.Equal(t, []uint32{5000, 5625, 5468, 5351}, intervals(t, 5, 7.5, 5, 5), "gaps in which it was not late are averaged")
}

// TestTwoLongGapsChangeThePushInterval: a sender that really slowed down is believed.
func TestTwoLongGapsChangeThePushInterval(t *testing.T) {
	require.Equal(t, []uint32{5000, 5000, 10_000, 11_250}, intervals(t, 5, 15, 15, 15))
	require.Equal(t, []uint32{5000, 5000, 10_000, 20_000, 40_000, 45_000}, intervals(t, 5, 60, 60, 60, 60, 60), "at most twice each time")
}

// TestOneEarlyPushDoesNotChangeThePushInterval: a scrape by hand, or two senders of one
// series, do not make it late. Two early pushes in a row are a faster sender.
func TestOneEarlyPushDoesNotChangeThePushInterval(t *testing.T) {
	require.Equal(t, []uint32{15_000, 15_000, 15_000, 15_000}, intervals(t, 15, 2, 15, 2))
	require.Equal(t, []uint32{15_000, 15_000, 14_500, 14_500, 14_125}, intervals(t, 15, 2, 13, 2, 13), "two senders, each every 15 seconds")
	require.Equal(t, []uint32{15_000, 15_000, 5000, 5000}, intervals(t, 15, 5, 5, 5))
}

func TestGapStaysAsReadsReturnedIt(t *testing.T) {
	s, c := newStore(t, Options{})
	for _, at := range []float64{0, 5, 10} {
		c.at(at)
		push(t, s, m, at, 1)
	}
	c.at(50)
	push(t, s, m, 50, 2)
	require.Equal(t, []pt{{0, 1}, {5, 1}, {10, 1}, {17.5, marker}, {50, 2}}, one(t, s, 0, 50))
}

func TestStalenessMarkerEndsAndASampleResumes(t *testing.T) {
	s, c := newStore(t, Options{})
	push(t, s, m, 0, 1)
	c.at(5)
	a := s.Appender()
	out, err := a.End(m, ms(5))
	require.NoError(t, err)
	require.Equal(t, Stored, out)
	out, err = a.End(labels.FromStrings(labels.MetricName, "other"), ms(5))
	require.NoError(t, err)
	require.Equal(t, Dropped, out)
	a.Commit()
	require.Equal(t, 1, s.SeriesCount(), "a marker makes no series")
	c.at(8)
	a = s.Appender()
	out, err = a.End(m, ms(8))
	require.NoError(t, err)
	require.Equal(t, Duplicate, out, "a series ends once")
	a.Commit()
	c.at(10)
	push(t, s, m, 10, 2)
	require.Equal(t, []pt{{0, 1}, {5, marker}, {10, 2}}, one(t, s, 0, 10))
}

func TestEndVariantsEndsBucketsOfThisHistogramOnly(t *testing.T) {
	s, c := newStore(t, Options{})
	name := labels.MetricName
	mine := []labels.Labels{
		labels.FromStrings(name, "m", "pod", "a", "le", "1"),
		labels.FromStrings(name, "m", "pod", "a", "le", "+Inf"),
	}
	others := []labels.Labels{
		labels.FromStrings(name, "m", "pod", "b", "le", "1"),
		labels.FromStrings(name, "m", "pod", "a", "engine", "0", "le", "1"),
		labels.FromStrings(name, "m", "pod", "a"),
	}
	for _, l := range append(mine, others...) {
		push(t, s, l, 0, 1)
	}
	c.at(1)
	a := s.Appender()
	require.NoError(t, a.EndVariants(labels.FromStrings(name, "m", "pod", "a"), "le", ms(1)))
	a.Commit()
	all := read(t, s, "m", 0, 1)
	for _, l := range mine {
		require.Equal(t, []pt{{0, 1}, {1, marker}}, all[l.String()])
	}
	for _, l := range others {
		require.Equal(t, []pt{{0, 1}}, all[l.String()])
	}
}

func TestDeltasAreAddedUpOnce(t *testing.T) {
	s, c := newStore(t, Options{})
	add := func(at, v float64) Outcome {
		a := s.Appender()
		defer a.Commit()
		out, err := a.Add(m, ms(at), v)
		require.NoError(t, err)
		return out
	}
	c.at(5)
	require.Equal(t, Stored, add(5, 3))
	c.at(10)
	require.Equal(t, Stored, add(10, 4))
	require.Equal(t, Dropped, add(10, 4), "a retry counts once")
	require.Equal(t, Dropped, add(7, 4), "a late delta may have been counted")
	c.at(15)
	a := s.Appender()
	_, err := a.End(m, ms(15))
	require.NoError(t, err)
	a.Commit()
	c.at(20)
	require.Equal(t, Stored, add(20, -1))
	require.Equal(t, []pt{{5, 3}, {10, 7}, {15, marker}, {20, 6}}, one(t, s, 0, 20))
}

func TestHistogramDeltasAreAddedUp(t *testing.T) {
	s, c := newStore(t, Options{})
	h := func(n float64) *histogram.FloatHistogram {
		return &histogram.FloatHistogram{
			Schema: 0, Count: n, Sum: n,
			PositiveSpans: []histogram.Span{{Offset: 0, Length: 1}}, PositiveBuckets: []float64{n},
		}
	}
	for i, n := range []float64{2, 3} {
		at := float64(5 * (i + 1))
		c.at(at)
		a := s.Appender()
		_, err := a.AddHistogram(m, ms(at), h(n))
		require.NoError(t, err)
		a.Commit()
	}
	ser := lookUp(s, m)
	require.InDelta(t, 5, ser.ring.Last().Hist.Count, 0)
	require.Equal(t, []float64{5}, ser.ring.Last().Hist.PositiveBuckets)
	require.InDelta(t, 2, ser.ring.At(0).Hist.Count, 0, "what was stored before is not changed")
}

func TestCapGivesUpTheOldest(t *testing.T) {
	s, c := newStore(t, Options{MaxSamplesPerSeries: 5})
	for i := range 12 {
		c.at(float64(i))
		push(t, s, m, float64(i), float64(i))
	}
	require.Equal(t, []pt{{7, 7}, {8, 8}, {9, 9}, {10, 10}, {11, 11}}, one(t, s, 0, 11))
}

func TestRetentionHidesOlderSamples(t *testing.T) {
	s, c := newStore(t, Options{Retention: 10 * time.Second})
	for i := range 30 {
		c.at(float64(i))
		push(t, s, m, float64(i), float64(i))
	}
	pts := one(t, s, 0, 29)
	require.Equal(t, pt{19, 19}, pts[0])
	require.Len(t, pts, 11)
}

func TestNaNIsAValue(t *testing.T) {
	s, _ := newStore(t, Options{})
	push(t, s, m, 0, math.NaN())
	require.True(t, math.IsNaN(one(t, s, 0, 0)[0].V))
}

func last(pts []pt) pt { return pts[len(pts)-1] }

// TestAClockThatWasSetBackKeepsNoSeriesLive: what arrived by the clock as it was
// before lies in the future now.
func TestAClockThatWasSetBackKeepsNoSeriesLive(t *testing.T) {
	s, c := newStore(t, Options{Retention: 2 * time.Hour, Lookback: 2 * time.Minute})
	for at := 0.0; at <= 20; at += 5 { // from a sender whose clock is an hour late
		c.at(3600 + at)
		push(t, s, m, at, 1)
	}
	c.at(60)
	push(t, s, m, 60, 2)
	c.at(67.4)
	require.InDelta(t, 2, last(one(t, s, 0, 67.4)).V, 0)
	c.at(67.5)
	require.InDelta(t, marker, last(one(t, s, 0, 67.5)).V, 0, "it has missed a push")
}
