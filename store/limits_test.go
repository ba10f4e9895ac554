package store

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheLabelThatExplodesIsNamed, among labels that have many values, too, and
// though it had few for long.
func TestTheLabelThatExplodesIsNamed(t *testing.T) {
	const most = 3 * cardinalitySample
	s, _ := newStore(t, Options{MaxSeriesPerMetric: most})
	require.Zero(t, s.Cardinality())
	for i := range most {
		request := "none"
		if i >= most/2 {
			request = strconv.Itoa(i)
		}
		push(t, s, series("bomb", "pod", strconv.Itoa(i%900), "request", request, "i", strconv.Itoa(i/900)), 0, 1)
	}
	push(t, s, series("other", "pod", "1"), 0, 1)
	require.Equal(t, Cardinality{Metric: "bomb", Series: most, Label: "request", Values: cardinalitySample, Looked: cardinalitySample}, s.Cardinality())
	_, err := s.Appender().Append(series("bomb", "pod", "x"), ms(0), 1)
	require.ErrorIs(t, err, ErrMetricLimit)
	require.ErrorContains(t, err, "held are 3000 series of bomb, whose label request has 1000 values in the newest 1000")
}

// TestALimitIsExplainedNowAndThen: what is refused comes a thousand times a second.
func TestALimitIsExplainedNowAndThen(t *testing.T) {
	s, c := newStore(t, Options{MaxSeriesPerMetric: 1})
	push(t, s, series("a", "pod", "1"), 0, 1)
	push(t, s, series("b", "pod", "1"), 0, 1)
	refused := func(metric string, at float64) string {
		_, err := s.Appender().Append(series(metric, "pod", "2"), ms(at), 1)
		require.ErrorIs(t, err, ErrMetricLimit)
		return err.Error()
	}
	require.Contains(t, refused("a", 0), "whose label pod")
	require.Contains(t, refused("a", 0), "whose label pod", "as found out before")
	require.NotContains(t, refused("b", 0), "whose label")
	c.at(10)
	require.Contains(t, refused("b", 10), "1 series of b, whose label pod")
	require.NotContains(t, refused("a", 10), "whose label")
}

func TestAMetricWithoutLabelsHasNoneThatExplodes(t *testing.T) {
	s, _ := newStore(t, Options{})
	push(t, s, series("a"), 0, 1)
	require.Equal(t, "1 series of a", s.Cardinality().String())
}
