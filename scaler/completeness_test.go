package scaler

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// seriesIDs returns so many different series.
func seriesIDs(t *testing.T, n int) (ids []query.SeriesID) {
	t.Helper()
	r := newRig(t, Options{})
	for i := range n {
		r.put("x", fmt.Sprint(i), 1)
	}
	plan, err := r.server.opts.Queries.Compile(query.Scope{}, "sum(x)", query.LastOne)
	require.NoError(t, err)
	reader, err := plan.Open(func() {})
	require.NoError(t, err)
	defer reader.Close()
	r.wait(time.Hour)
	survey, err := reader.Survey(t.Context(), 0)
	require.NoError(t, err)
	for _, s := range survey.Matched[0].Silent {
		ids = append(ids, s.ID)
	}
	require.Len(t, ids, n)
	return ids
}

// silents are series as a survey has them.
type silents struct{ ids []query.SeriesID }

// late returns a series that arrived last at a moment, in ms.
func (s silents) late(i int, arrived int64, v float64) query.Silent {
	return query.Silent{ID: s.ids[i], Arrived: arrived, Interval: 5000, Value: v}
}

// ended returns one that its sender ended besides.
func (s silents) ended(i int, arrived, ended int64, v float64) query.Silent {
	q := s.late(i, arrived, v)
	q.Ended = ended
	return q
}

const assessed = int64(1_000_000) // when the tests look, in ms

func assessAll(matched ...query.Matched) completeness {
	return assess(&query.Survey{At: assessed, Until: math.MaxInt64, Matched: matched}, 120_000)
}

func TestAssess(t *testing.T) {
	s := silents{seriesIDs(t, 4)}
	lostOf := func(c completeness) (values []float64) {
		for _, l := range c.lost {
			values = append(values, l.Value)
		}
		return values
	}
	ago := func(ms int64) int64 { return assessed - ms }

	t.Run("all series push", func(t *testing.T) {
		c := assessAll(query.Matched{Live: 3}, query.Matched{Live: 2, Uncovered: 1})
		require.True(t, c.needed)
		require.Equal(t, []int{5, 5, 1, 0}, []int{c.live, c.seen, c.uncovered, len(c.lost)})
		require.Nil(t, c.absent)
		require.EqualValues(t, math.MaxInt64, c.until)
	})
	t.Run("no selector matches anything", func(t *testing.T) {
		c := assessAll(query.Matched{}, query.Matched{})
		require.False(t, c.needed)
		require.Equal(t, []bool{true, true}, c.absent)
		require.Zero(t, c.seen)
	})
	t.Run("only optional selectors, which need not match", func(t *testing.T) {
		require.True(t, assessAll(query.Matched{Optional: true}).needed)
		require.False(t, assessAll(query.Matched{Optional: true}, query.Matched{}).needed)
		require.True(t, assessAll(query.Matched{Optional: true, Live: 1}, query.Matched{}).needed)
		require.True(t, assessAll(query.Matched{Optional: true}, query.Matched{Live: 1}).needed)
	})
	t.Run("a query without selectors", func(t *testing.T) {
		require.True(t, assessAll().needed)
	})
	t.Run("lost series in the order of their arrival, until they are forgotten", func(t *testing.T) {
		c := assessAll(query.Matched{Live: 1, Silent: []query.Silent{s.late(0, ago(20_000), 2), s.late(1, ago(30_000), 3)}})
		require.Equal(t, []float64{3, 2}, lostOf(c))
		require.Equal(t, ago(30_000)+120_000, c.until)
		require.Len(t, c.carried, 2)
		require.Equal(t, 3, c.seen)
		require.Equal(t, []bool{false}, c.absent)
		require.Equal(t, []bool{false}, c.current)
	})
	t.Run("all series are lost: current has none", func(t *testing.T) {
		c := assessAll(query.Matched{Silent: []query.Silent{s.late(0, ago(20_000), 2)}}, query.Matched{Live: 1})
		require.Equal(t, []bool{true, false}, c.current)
		require.Equal(t, []bool{false, false}, c.absent)
		require.True(t, c.needed)
	})
	t.Run("forgotten one retention after the last sample", func(t *testing.T) {
		c := assessAll(query.Matched{Silent: []query.Silent{s.late(0, ago(120_000), 2), s.late(1, ago(119_999), 3)}})
		require.Equal(t, []float64{3}, lostOf(c))
		require.Equal(t, assessed+1, c.until)
		c = assessAll(query.Matched{Silent: []query.Silent{s.late(0, ago(120_000), 2)}})
		require.False(t, c.needed)
		require.Zero(t, c.seen)
	})
	t.Run("a value that adds nothing is no loss", func(t *testing.T) {
		zero := []query.Silent{s.late(0, ago(20_000), 0)}
		c := assessAll(query.Matched{Live: 1, Silent: zero})
		require.Empty(t, c.lost)
		require.Empty(t, c.unloaded, "others push")
		c = assessAll(query.Matched{Silent: zero}, query.Matched{Live: 1})
		require.Empty(t, c.lost)
		require.Contains(t, c.unloaded, s.ids[0], "the selector has nothing else")
		require.Contains(t, c.carried, s.ids[0])
		require.Equal(t, []bool{false, false}, c.current)
		c = assessAll(query.Matched{Live: 1, ZeroCounts: true, Silent: zero})
		require.Len(t, c.lost, 1, "not under count, 1 - x, or as a divisor")
		histogram := zero[0]
		histogram.Histogram = true
		c = assessAll(query.Matched{Live: 1, Silent: []query.Silent{histogram}})
		require.Len(t, c.lost, 1, "a histogram has no value")
	})
	t.Run("ended: for three intervals if others continue", func(t *testing.T) {
		c := assessAll(query.Matched{Live: 1, Silent: []query.Silent{s.ended(0, ago(16_000), ago(14_999), 9)}})
		require.Equal(t, []float64{9}, lostOf(c))
		require.Equal(t, assessed+1, c.until)
		c = assessAll(query.Matched{Live: 1, Silent: []query.Silent{s.ended(0, ago(16_000), ago(15_000), 9)}})
		require.Empty(t, c.lost)
		c = assessAll(query.Matched{Silent: []query.Silent{s.ended(0, ago(16_000), ago(15_000), 9)}}, query.Matched{Live: 1})
		require.Empty(t, c.lost, "those of another selector continue")
		require.True(t, c.absent[0])
		require.False(t, c.ended && c.live == 0)
	})
	t.Run("ended: until forgotten if all ended together", func(t *testing.T) {
		c := assessAll(query.Matched{Silent: []query.Silent{s.ended(0, ago(100_000), ago(99_000), 9), s.ended(1, ago(100_000), ago(99_000), 0)}})
		require.Equal(t, []float64{9}, lostOf(c))
		require.True(t, c.ended)
		c = assessAll(query.Matched{Silent: []query.Silent{s.ended(0, ago(100_000), ago(99_000), 9), s.late(1, ago(20_000), 1)}})
		require.False(t, c.ended, "the other did not say so")
	})
	t.Run("a series of two selectors is lost once", func(t *testing.T) {
		one := query.Matched{Live: 1, Silent: []query.Silent{s.late(0, ago(20_000), 2)}}
		require.Len(t, assessAll(one, one).lost, 1)
	})
	t.Run("a lost series without a whole window", func(t *testing.T) {
		half := s.late(0, ago(20_000), 2)
		half.Uncovered = true
		require.Equal(t, 1, assessAll(query.Matched{Live: 1, Silent: []query.Silent{half}}).uncovered)
	})
}
