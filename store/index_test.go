package store

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/labelindex"
)

func textOf(s *Store, found []*Series) (texts []string) {
	for _, ser := range found {
		lset, _ := s.index.Labels(ser, &labels.ScratchBuilder{})
		texts = append(texts, lset.String())
	}
	return texts
}

// TestSeriesThatShareAHash goes through the table with hashes of two values.
func TestSeriesThatShareAHash(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		x := labelindex.New(func(ser *Series) *labelindex.Entry { return &ser.entry })
		var st stripes
		held := map[string]*Series{}
		label := func(i int) labels.Labels {
			switch value := fmt.Sprint(i / 3); i % 3 {
			case 0:
				return labels.FromStrings("l", value)
			case 1:
				return labels.FromStrings("m", value)
			default:
				return labels.FromStrings("l", value, "m", value)
			}
		}
		hash := func(i int) uint32 { return uint32(i%4/3) * (math.MaxUint32/2 - 100) / stripeCount * stripeCount }
		for range 300 {
			i := rnd.IntN(40)
			lset := label(i)
			ser := st.get(hash(i), lset, x)
			require.Same(t, held[lset.String()], ser)
			if ser == nil {
				ser = &Series{entry: labelindex.Entry{Hash: hash(i), Set: x.Intern(lset)}}
				st.put(ser)
				held[lset.String()] = ser
			} else if rnd.IntN(3) > 0 {
				st.remove(ser)
				delete(held, lset.String())
			}
		}
		require.Len(t, st.snapshot(0, nil), len(held))
		for _, ser := range held {
			st.remove(ser)
		}
		require.Zero(t, st[0].most, "the stripe made its map smaller")
	}
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
