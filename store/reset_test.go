package store

import (
	"fmt"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/stretchr/testify/require"
)

func TestResetLeavesNothing(t *testing.T) {
	s, c := newStore(t, Options{})
	a := s.Appender()
	_, err := a.Append(m, ms(0), 1)
	require.NoError(t, err)
	a.Describe("m", metadata.Metadata{Help: "one"})
	a.Commit()
	for i := range 200 {
		push(t, s, series("n", "pod", fmt.Sprint(i)), 0, 1)
	}
	held := s.Appender().Lookup(m)
	w := listen(t, s, sel("m"))
	defer w.Close()
	w.notified()
	_, err = s.Select(sel("n"), 0, func() {})
	require.NoError(t, err)
	s.Sweep()
	require.Equal(t, 200, s.LargestMetric())

	s.Reset()
	require.Zero(t, s.SeriesCount())
	require.Zero(t, s.LargestMetric())
	require.Zero(t, s.SelectedCount())
	require.Empty(t, s.Metrics())
	require.Empty(t, s.Metadata(""))
	require.Empty(t, read(t, s, "n", -60, 60))
	require.True(t, w.notified())

	c.at(1)
	_, err = s.Appender().AppendTo(held, ms(1), 2)
	require.ErrorIs(t, err, ErrFreed)
	push(t, s, m, 1, 2)
	require.Equal(t, []pt{{1, 2}}, one(t, s, -60, 60), "nothing of before")
	require.True(t, w.notified(), "who waits hears of those that come back")
}

// TestResetBetweenPushes: what comes meanwhile is held whole or not at all.
func TestResetBetweenPushes(t *testing.T) {
	s, _ := newStore(t, Options{})
	var pushing sync.WaitGroup
	for g := range 4 {
		pushing.Go(func() {
			a := s.Appender()
			for i := range 5000 {
				a.Reset()
				lset := labels.FromStrings(labels.MetricName, fmt.Sprint("m", i%10), "pod", fmt.Sprint(g*i%50))
				_, err := a.Append(lset, ms(0), 1)
				require.NoError(t, err)
				a.Commit()
			}
		})
	}
	for range 50 {
		s.Reset()
	}
	pushing.Wait()
	found := 0
	for metric, series := range s.Metrics() {
		held := read(t, s, metric, -60, 60)
		require.Len(t, held, series)
		for lset, pts := range held {
			require.Equal(t, []pt{{0, 1}}, pts, lset)
		}
		found += len(held)
	}
	require.Equal(t, s.SeriesCount(), found)
	s.Reset()
	require.Zero(t, s.SeriesCount())
	require.Empty(t, s.Metrics())
}
