package store

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// TestIndexAgreesWithLookingAtEverySeries lets series come and go, and asks for
// them by random matchers. Values return after their pairs' numbers have gone to
// others, refs run out, and labels are told apart under one hash.
func TestIndexAgreesWithLookingAtEverySeries(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		s, c := newStore(t, Options{})
		if seed%4 == 0 {
			s.lastRef = math.MaxUint32 - ref(rnd.IntN(200))
		}
		var made []labels.Labels // in the order in which they were made
		pushed := map[string]float64{}
		for now := 0.0; now < 600; now += 10 {
			c.at(now)
			s.Sweep()
			made = slices.DeleteFunc(made, func(l labels.Labels) bool { return now-pushed[l.String()] > 120 })
			for range rnd.IntN(12) {
				lset := randomLabels(rnd)
				if !slices.ContainsFunc(made, func(l labels.Labels) bool { return labels.Equal(l, lset) }) {
					made = append(made, lset)
				}
				require.Equal(t, Stored, pushAgain(t, s, lset, now))
				pushed[lset.String()] = now
			}
			for range 10 {
				ms := randomMatchers(rnd)
				var want []string
				for _, l := range made {
					if matchesAll(l, ms) {
						want = append(want, l.String())
					}
				}
				found, err := s.find(context.Background(), ms...)
				require.NoError(t, err)
				require.Equal(t, want, textOf(s, found), "seed %d, %v, %v", seed, now, ms)
			}
			require.Equal(t, len(made), s.SeriesCount())
		}
		if seed%4 == 0 {
			require.Equal(t, 1, s.refs.era, "the refs have run out once")
		}
	}
}

// pushAgain pushes at now, in seconds; a repetition counts as stored.
func pushAgain(t *testing.T, s *Store, lset labels.Labels, now float64) Outcome {
	if out := push(t, s, lset, now, 1); out != Duplicate {
		return out
	}
	return Stored
}

func textOf(s *Store, found []*Series) (texts []string) {
	for _, ser := range found {
		lset, _ := s.index.labels(ser, &labels.ScratchBuilder{})
		texts = append(texts, lset.String())
	}
	return texts
}

func randomLabels(rnd *rand.Rand) labels.Labels {
	b := labels.NewScratchBuilder(4)
	b.Add(labels.MetricName, []string{"m", "n", "o"}[rnd.IntN(3)])
	for _, name := range []string{"ns", "pod", "Z"} {
		if rnd.IntN(4) > 0 {
			b.Add(name, fmt.Sprint(rnd.IntN(8)))
		}
	}
	b.Sort()
	return b.Labels()
}

func randomMatchers(rnd *rand.Rand) (ms []*labels.Matcher) {
	for range rnd.IntN(4) {
		name := []string{labels.MetricName, "ns", "pod", "Z", "never"}[rnd.IntN(5)]
		typ := labels.MatchType(rnd.IntN(4))
		value := []string{"", "m", "3", "5"}[rnd.IntN(4)]
		if typ >= labels.MatchRegexp {
			value = []string{"", ".*", ".+", "m|n", "3|3|4", "[1-5]", "x|", "(2|)"}[rnd.IntN(8)]
		}
		ms = append(ms, labels.MustNewMatcher(typ, name, value))
	}
	return ms
}

// TestSeriesThatShareAHash goes through the table with hashes of two values,
// so that nearly all stand where they don't belong.
func TestSeriesThatShareAHash(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		x := &index{names: map[string]map[string]uint32{}}
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
				ser = &Series{hash: hash(i), set: x.intern(lset)}
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
		require.Len(t, st[0].slots, minSlots, "an emptied table is small again")
	}
}

func TestListsOfRefs(t *testing.T) {
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		var lists [][]ref
		count := map[ref]int{}
		for range 1 + rnd.IntN(4) {
			var list []ref
			for r := range ref(1 + rnd.IntN(100)) {
				if rnd.IntN(3) > 0 {
					list = append(list, r)
					count[r]++
				}
			}
			lists = append(lists, list)
		}
		var both, any, only []ref
		for r := range ref(101) {
			if count[r] > 0 {
				any = append(any, r)
			}
			if count[r] == len(lists) {
				both = append(both, r)
			}
		}
		for _, r := range lists[0] {
			if !slices.Contains(lists[len(lists)-1], r) {
				only = append(only, r)
			}
		}
		before := fmt.Sprint(lists)
		require.ElementsMatch(t, any, union(lists))
		require.ElementsMatch(t, only, without(lists[0], lists[len(lists)-1]))
		require.ElementsMatch(t, both, intersect(slices.Clone(lists)))
		require.Equal(t, before, fmt.Sprint(lists), "they are the index' own")
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

// TestNothingIsReadOfAFreedSeries, whoever still has it in hand.
func TestNothingIsReadOfAFreedSeries(t *testing.T) {
	s, c := newStore(t, Options{})
	push(t, s, series("m", "pod", "a"), 0, 1)
	found, err := s.find(context.Background())
	require.NoError(t, err)
	c.at(125)
	s.Sweep()
	push(t, s, series("n", "pod", "b"), 125, 1)
	_, ok := s.index.labels(found[0], &labels.ScratchBuilder{})
	require.False(t, ok)
	require.Empty(t, s.index.value(found[0], "pod"))
	s.index.eachOf(found, func(p *pair) { t.Error(p.name, p.value) })
	left, err := s.index.filter(context.Background(), found, []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "pod", ".*")})
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestAListOfRefsIsGoodForItsEra(t *testing.T) {
	s, c := newStore(t, Options{})
	push(t, s, series("m", "pod", "gone"), 0, 1)
	c.at(125)
	push(t, s, series("m", "pod", "a"), 125, 1)
	s.Sweep()
	push(t, s, series("m", "pod", "b"), 125, 1)
	era := s.refs.now()
	lists, _ := s.index.lists([]*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "pod", "a")})
	s.mu.Lock()
	s.renumberLocked()
	s.mu.Unlock()
	require.Equal(t, [][]ref{{2}}, lists, "nobody writes to what was read")
	_, ok := s.refs.series(lists[0], era)
	require.False(t, ok, "2 is another now")
	found, err := s.find(context.Background(), labels.MustNewMatcher(labels.MatchEqual, "pod", "a"))
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, podsOf(s, found))
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
	found, err := s.find(context.Background(), labels.MustNewMatcher(labels.MatchEqual, "name", "value"))
	require.NoError(t, err)
	require.Equal(t, []string{`{__name__="m", name="value"}`}, textOf(s, found))
	require.Equal(t, "m", found[0].name.name)
}
