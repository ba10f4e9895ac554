package store

import (
	"context"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

func textOf(s *Store, found []*Series) (texts []string) {
	for _, ser := range found {
		lset, _ := s.index.Labels(ser, &labels.ScratchBuilder{})
		texts = append(texts, lset.String())
	}
	return texts
}

// TestAFreedSeriesShowsNobodyElsesLabels: a reader has found a series, which is
// freed then, and its labels' numbers go to others.
func TestAFreedSeriesShowsNobodyElsesLabels(t *testing.T) {
	s, c := newStore(t, Options{})
	push(t, s, series("m", "pod", "a"), 0, 1)
	c.at(100)
	push(t, s, series("m", "pod", "b"), 100, 1)
	q, err := s.Querier(ms(0), ms(300))
	require.NoError(t, err)
	set := q.Select(context.Background(), false, nil, labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "m"))
	c.at(125)
	s.Sweep()
	push(t, s, series("m", "pod", "c"), 125, 1)
	require.True(t, set.Next())
	require.Equal(t, "b", set.At().Labels().Get("pod"), "a is gone, and c came later")
	require.False(t, set.Next())
}

// TestALabelKeepsNothingElseAlive: a label's text is a part of the labels it came
// with, which must not stay for it.
func TestALabelKeepsNothingElseAlive(t *testing.T) {
	s, _ := newStore(t, Options{})
	b := labels.NewScratchBuilder(2)
	b.Add(labels.MetricName, "m")
	b.Add("name", "value")
	var lset labels.Labels
	b.Overwrite(&lset)
	push(t, s, lset, 0, 1)
	b.Reset()
	b.Add(labels.MetricName, "x")
	b.Add("yyyy", "zzzzz")
	b.Overwrite(&lset) // where the others were
	found, err := s.index.Find(context.Background(), labels.MustNewMatcher(labels.MatchEqual, "name", "value"))
	require.NoError(t, err)
	require.Equal(t, []string{`{__name__="m", name="value"}`}, textOf(s, found))
	require.Equal(t, "m", found[0].name.name)
}
