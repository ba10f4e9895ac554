package labelindex

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

type item struct {
	entry Entry
	lset  labels.Labels
}

func newIndex() *Index[item] { return New(func(i *item) *Entry { return &i.entry }) }

func add(x *Index[item], lset labels.Labels) *item {
	i := &item{entry: x.Intern(lset, Hash(lset)), lset: lset}
	x.Add(i)
	return i
}

// TestIndexAgreesWithLookingAtEveryItem adds and removes items, and finds them by random
// matchers. Values return after their pairs' numbers were assigned to others, and refs
// run out.
func TestIndexAgreesWithLookingAtEveryItem(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		x := newIndex()
		if seed%4 == 0 {
			x.last = math.MaxUint32 - Ref(rnd.IntN(200))
		}
		var all []*item // in the order in which they were added
		for round := range 60 {
			var removed []*item
			all = slices.DeleteFunc(all, func(i *item) bool {
				if rnd.IntN(12) > 0 {
					return false
				}
				removed = append(removed, i)
				return true
			})
			x.Remove(removed)
			for range rnd.IntN(12) {
				lset := randomLabels(rnd)
				if !slices.ContainsFunc(all, func(i *item) bool { return labels.Equal(i.lset, lset) }) {
					all = append(all, add(x, lset))
				}
			}
			for range 10 {
				ms := randomMatchers(rnd)
				want := []*item{}
				for _, i := range all {
					if matchesAll(i.lset, ms) {
						want = append(want, i)
					}
				}
				found, err := x.Find(context.Background(), ms...)
				require.NoError(t, err)
				require.Equal(t, textOf(x, want), textOf(x, found), "seed %d, %v, %v", seed, round, ms)
			}
			for _, i := range all {
				require.Same(t, i, x.Get(i.lset, Hash(i.lset)))
			}
		}
		if seed%4 == 0 {
			require.Less(t, x.last, Ref(10_000), "the refs have run out once")
		}
		x.Remove(all)
		require.Empty(t, x.names)
		require.Empty(t, x.items)
		require.Empty(t, x.hashes)
		require.Len(t, x.spare, len(x.pairs))
	}
}

func textOf(x *Index[item], found []*item) (texts []string) {
	for _, i := range found {
		lset, _ := x.Labels(i, &labels.ScratchBuilder{})
		texts = append(texts, lset.String())
	}
	return texts
}

func matchesAll(lset labels.Labels, ms []*labels.Matcher) bool {
	return !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(lset.Get(m.Name)) })
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

func TestListsOfRefs(t *testing.T) {
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		var lists [][]Ref
		count := map[Ref]int{}
		for range 1 + rnd.IntN(4) {
			var list []Ref
			for r := range Ref(1 + rnd.IntN(100)) {
				if rnd.IntN(3) > 0 {
					list = append(list, r)
					count[r]++
				}
			}
			lists = append(lists, list)
		}
		var both, any, only []Ref
		for r := range Ref(101) {
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
		require.Equal(t, before, fmt.Sprint(lists), "the index still uses them")
	}
}

// TestNothingIsReadOfARemovedItem, though its labels' numbers are those of another now.
func TestNothingIsReadOfARemovedItem(t *testing.T) {
	x := newIndex()
	removed := add(x, labels.FromStrings("pod", "a"))
	x.Remove([]*item{removed})
	add(x, labels.FromStrings("pod", "b"))
	_, ok := x.Labels(removed, &labels.ScratchBuilder{})
	require.False(t, ok)
	require.Empty(t, x.Label(removed, "pod"))
	x.EachPairOf([]*item{removed}, func(name, value string) { t.Error(name, value) })
}

// renumbering is a context that renumbers the items during a search.
type renumbering struct {
	context.Context
	x *Index[item]
}

func (r *renumbering) Err() error {
	r.x.last = math.MaxUint32
	add(r.x, labels.FromStrings("pod", "c"))
	return nil
}

// TestASearchFindsItemsThatAreRenumbered meanwhile.
func TestASearchFindsItemsThatAreRenumbered(t *testing.T) {
	x := newIndex()
	other := add(x, labels.FromStrings("pod", "other"))
	a := add(x, labels.FromStrings("pod", "a"))
	x.Remove([]*item{other})
	b := add(x, labels.FromStrings("pod", "b"))
	require.Equal(t, Ref(3), b.entry.ref)
	for range 2 {
		found, err := x.Find(&renumbering{t.Context(), x}, labels.MustNewMatcher(labels.MatchEqual, "pod", "a"))
		require.NoError(t, err)
		require.Equal(t, []*item{a}, found)
		require.Equal(t, Ref(2), b.entry.ref)
	}
}

// TestItemsThatShareAHash goes through the table with hashes of two values.
func TestItemsThatShareAHash(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		x := newIndex()
		there := map[string]*item{}
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
		hash := func(i int) uint32 { return math.MaxUint32 - uint32(i%4/3)*5 }
		for range 300 {
			i := rnd.IntN(40)
			lset := label(i)
			one := x.Get(lset, hash(i))
			require.Same(t, there[lset.String()], one)
			if one == nil {
				one = &item{entry: x.Intern(lset, hash(i))}
				x.Add(one)
				there[lset.String()] = one
			} else if rnd.IntN(3) > 0 {
				x.Remove([]*item{one})
				delete(there, lset.String())
			}
		}
		require.Len(t, slices.Collect(x.All), len(there))
		require.Len(t, x.hashes, len(there))
		for _, one := range there {
			x.Remove([]*item{one})
		}
		require.Zero(t, x.most, "the table made its map smaller")
	}
}
