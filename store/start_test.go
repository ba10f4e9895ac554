package store

import (
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
)

// counted appends a value of a counter that was zero at start.
func counted(t *testing.T, s *Store, start, at, v float64) Outcome {
	t.Helper()
	a := s.Appender()
	a.Since(ms(start))
	out, err := a.Append(m, ms(at), v)
	require.NoError(t, err)
	a.Commit()
	return out
}

// TestACounterIsZeroWhereItBegan, so that its first value, and a restart that
// its value doesn't show, count.
func TestACounterIsZeroWhereItBegan(t *testing.T) {
	s, c := newStore(t, Options{})
	c.at(10)
	counted(t, s, 4, 10, 7)
	require.Equal(t, []pt{{4, 0}, {10, 7}}, one(t, s, 0, 20))
	c.at(15)
	counted(t, s, 4, 15, 8)
	require.Equal(t, []pt{{4, 0}, {10, 7}, {15, 8}}, one(t, s, 0, 20), "the same start is no news")
	c.at(20)
	counted(t, s, 17, 20, 9)
	require.Equal(t, []pt{{4, 0}, {10, 7}, {15, 8}, {17, 0}, {20, 9}}, one(t, s, 0, 20))
	require.Equal(t, Duplicate, counted(t, s, 18, 20, 9))
	require.Equal(t, OutOfOrder, counted(t, s, 18, 19, 9))
	require.Equal(t, []pt{{4, 0}, {10, 7}, {15, 8}, {17, 0}, {19, 9}, {20, 9}}, one(t, s, 0, 20), "only a newer value brings one")
}

func TestAStartThatMeansNothing(t *testing.T) {
	for name, c := range map[string]struct{ start, at, now float64 }{
		"none":                            {-epochSeconds, 10, 10},
		"before the store was there":      {-1, 10, 10},
		"before what the retention holds": {10, 200, 200},
		"at the time of the value":        {10, 10, 10},
		"after it":                        {11, 10, 12},
		"by a clock of its own":           {8, 20, 10},
	} {
		t.Run(name, func(t *testing.T) {
			s, clock := newStore(t, Options{})
			clock.at(c.now)
			counted(t, s, c.start, c.at, 7)
			require.Equal(t, []pt{{min(c.at, c.now), 7}}, one(t, s, -10, c.now))
			require.Equal(t, 1, s.Appender().Lookup(m).ring.Len(), "nor is it kept where no query looks")
		})
	}
}

const epochSeconds = float64(epoch) / 1000

// TestAStartIsForgottenWithItsRequest: an appender is used again.
func TestAStartIsForgottenWithItsRequest(t *testing.T) {
	s, c := newStore(t, Options{})
	c.at(10)
	a := s.Appender()
	a.Since(ms(5))
	a.Commit()
	a.Reset()
	_, err := a.Append(m, ms(10), 1)
	require.NoError(t, err)
	require.Equal(t, []pt{{10, 1}}, one(t, s, 0, 20))
}

// TestAStartBesideAMarker: the series was late in between, before the counter
// began again or after it.
func TestAStartBesideAMarker(t *testing.T) {
	for start, want := range map[float64][]pt{
		30: {{0, 5}, {5, 6}, {12.5, marker}, {30, 0}, {40, 9}},
		10: {{0, 5}, {5, 6}, {10, 0}, {12.5, marker}, {40, 9}},
	} {
		s, c := newStore(t, Options{})
		push(t, s, m, 0, 5)
		c.at(5)
		push(t, s, m, 5, 6)
		c.at(40)
		counted(t, s, start, 40, 9)
		require.Equal(t, want, one(t, s, 0, 40))
	}
}

func TestAStartSetsNoPushInterval(t *testing.T) {
	s, c := newStore(t, Options{})
	c.at(50)
	counted(t, s, 1, 50, 5)
	c.at(119)
	require.Equal(t, Stored, counted(t, s, 1, 119, 6))
	require.Equal(t, []pt{{1, 0}, {50, 5}, {119, 6}}, one(t, s, 0, 119), "a first push says nothing about the next")
}

func TestANativeHistogramIsZeroWhereItBegan(t *testing.T) {
	s, c := newStore(t, Options{})
	push := func(start, at, count float64) {
		c.at(at)
		a := s.Appender()
		a.Since(ms(start))
		_, err := a.AppendHistogram(m, ms(at), &histogram.FloatHistogram{
			Schema: 3, ZeroThreshold: 0.5, Count: count, Sum: count,
			PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []float64{count},
		})
		require.NoError(t, err)
		a.Commit()
	}
	push(1, 5, 2)
	push(7, 10, 4)
	q, err := s.Querier(ms(0), ms(10))
	require.NoError(t, err)
	set := q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "m"))
	require.True(t, set.Next())
	var counts []float64
	var hints []histogram.CounterResetHint
	for it := set.At().Iterator(nil); it.Next() != chunkenc.ValNone; {
		_, h := it.AtFloatHistogram(nil)
		require.NoError(t, h.Validate())
		require.Equal(t, int32(3), h.Schema)
		counts, hints = append(counts, h.Count), append(hints, h.CounterResetHint)
	}
	require.Equal(t, []float64{0, 2, 0, 4}, counts)
	require.Equal(t, histogram.CounterReset, hints[2], "4 is no less than 2")
	require.Equal(t, histogram.NotCounterReset, hints[3])
}

// TestDeltasAndTheirStarts are those of the Collector's deltatocumulative
// processor: a gap and an overlap with the delta before don't keep a delta from
// being added, what is not newer or began before all others is dropped.
func TestDeltasAndTheirStarts(t *testing.T) {
	s, c := newStore(t, Options{})
	c.at(100)
	add := func(start, at, v float64) Outcome {
		a := s.Appender()
		defer a.Commit()
		a.Since(ms(start))
		out, err := a.Add(m, ms(at), v)
		require.NoError(t, err)
		return out
	}
	require.Equal(t, Stored, add(10, 20, 1))
	require.Equal(t, Stored, add(20, 30, 2), "in line")
	require.Equal(t, Stored, add(40, 50, 4), "after a gap, or a restart of the sender")
	require.Equal(t, Stored, add(45, 60, 8), "overlapping the one before")
	require.Equal(t, Dropped, add(50, 60, 16), "sent again")
	require.Equal(t, Dropped, add(30, 40, 32), "out of order")
	require.Equal(t, Dropped, add(9, 70, 64), "overlapping all")
	require.Equal(t, Stored, add(10, 71, 128), "no earlier than the first")
	require.Equal(t, []pt{{10, 0}, {20, 1}, {30, 3}, {50, 7}, {60, 15}, {71, 143}}, one(t, s, 0, 100))
}
