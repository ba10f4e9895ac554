package store

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// TestKeptSeriesAreThoseThatMatch: created and freed ones included, in the order
// in which the index has them.
func TestKeptSeriesAreThoseThatMatch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	s, c := newStore(t, Options{})
	selectors := [][]*labels.Matcher{sel("m"), sel("m", "ns", "1"), sel("", "ns", "1", "pod", "3"), sel("n", "pod", "")}
	kept := make([]*Kept, len(selectors))
	for at := range 2000 {
		c.at(float64(at))
		lset := series([]string{"m", "n"}[rnd.IntN(2)], "ns", fmt.Sprint(rnd.IntN(3)), "pod", fmt.Sprint(rnd.IntN(60)))
		if rnd.IntN(20) == 0 {
			lset = series("n")
		}
		push(t, s, lset, float64(at), 1)
		if rnd.IntN(20) == 0 {
			s.Sweep()
		}
		i := rnd.IntN(len(kept))
		switch k := kept[i]; {
		case k == nil:
			var err error
			kept[i], err = s.Keep(selectors[i], func() {})
			require.NoError(t, err)
		case rnd.IntN(100) == 0:
			k.Close()
			kept[i] = nil
		default:
			found, err := s.find(t.Context(), selectors[i]...)
			require.NoError(t, err)
			in, ok := k.Instant(ms(float64(at)))
			require.True(t, ok)
			require.ElementsMatch(t, found, in.series)
			if len(found) > 0 {
				require.Equal(t, found, in.series)
			}
		}
	}
	for _, k := range kept {
		if k != nil {
			k.Close()
		}
	}
	require.Zero(t, s.KeptCount())
	require.Empty(t, s.watches.keys)
}

// podsOf tells series apart by a label; they print as all that hangs on them.
func podsOf(s *Store, all []*Series) []string {
	pods := make([]string, len(all))
	for i, ser := range all {
		pods[i] = s.index.value(ser, "pod")
	}
	return pods
}

// TestKeepMeetsWhatHappensMeanwhile, step by step.
func TestKeepMeetsWhatHappensMeanwhile(t *testing.T) {
	s, c := newStore(t, Options{})
	pod := func(name string) *Series {
		push(t, s, series("m", "pod", name), 0, 1)
		return s.stripes.get(hashOf(series("m", "pod", name)), series("m", "pod", name), &s.index)
	}
	first, second, third := pod("1"), pod("2"), pod("3")
	k := &Kept{Watch: Watch{s: s, selectors: [][]*labels.Matcher{sel("m")}, changed: func() {}}}
	k.kept = k
	s.mu.Lock()
	s.watches.add(&k.Watch) // as attach is about to
	s.mu.Unlock()
	after := pod("4") // before the look-up
	c.at(200)
	free := func(ser *Series) { s.free([]*Series{ser}, ms(80), map[*Watch]struct{}{}) }
	var older []*Series
	require.NoError(t, k.attach(func(ser *Series) {
		if older = append(older, ser); ser == first {
			free(second) // looked up, not hung on yet
		}
	}))
	require.Empty(t, second.watchesLocked())
	require.Equal(t, []string{"1", "3"}, podsOf(s, older))
	require.Len(t, after.watchesLocked(), 1)
	free(third) // hung on, not put in its place yet
	require.True(t, k.put(older))
	require.Equal(t, []string{"1", "4"}, podsOf(s, k.series))
	require.Equal(t, 2, s.KeptCount())
	k.Close()
	require.Empty(t, s.watches.keys)
}

// TestKeptSeriesComeAndGoMeanwhile: a selector's series are looked up while
// others are made and freed.
func TestKeptSeriesComeAndGoMeanwhile(t *testing.T) {
	s, c := newStore(t, Options{})
	const pods = 500
	for pod := range pods {
		push(t, s, series("m", "pod", fmt.Sprint("old", pod)), 0, 1)
	}
	hung := func(k *Kept) (n int) {
		for i := range s.stripes {
			for _, ser := range s.stripes.snapshot(i, nil) {
				for _, w := range ser.watchesLocked() {
					if w == &k.Watch {
						n++
					}
				}
			}
		}
		return n
	}
	for round := range 30 {
		c.at(float64(200 * round))
		var meanwhile sync.WaitGroup
		meanwhile.Go(func() {
			a := s.Appender()
			for pod := range pods { // frees those of the last round
				if _, err := a.Append(series("m", "pod", fmt.Sprint(round, "-", pod)), ms(float64(200*round)), 1); err != nil {
					t.Error(err)
				}
				if pod == pods/2 {
					s.Sweep()
				}
			}
			a.Commit()
		})
		k, err := s.Keep(sel("m"), func() {})
		require.NoError(t, err)
		meanwhile.Wait()
		found, err := s.find(t.Context(), sel("m")...)
		require.NoError(t, err)
		in, ok := k.Instant(ms(float64(200 * round)))
		require.True(t, ok)
		require.Equal(t, podsOf(s, found), podsOf(s, in.series))
		require.Equal(t, len(found), s.KeptCount())
		require.Equal(t, len(found), hung(k), "each has the watch, once")
		k.Close()
		require.Zero(t, hung(k))
		require.Zero(t, s.KeptCount())
	}
}

func TestKeptKnowsWhatConcernsIt(t *testing.T) {
	s, c := newStore(t, Options{})
	push(t, s, series("m", "ns", "a"), 0, 1)
	k, err := s.Keep(sel("m", "ns", "a"), func() {})
	require.NoError(t, err)
	defer k.Close()
	changed := func() bool {
		was := !k.Unchanged(math.MaxInt64)
		k.Arm()
		return was
	}
	changed()
	push(t, s, series("m", "ns", "b"), 0, 1)
	require.False(t, changed(), "another namespace")
	push(t, s, series("m", "ns", "a", "pod", "1"), 0, 1)
	require.True(t, changed(), "a new series")
	c.at(5)
	push(t, s, series("m", "ns", "b"), 5, 1)
	require.False(t, changed())
	s.Sweep()
	require.True(t, changed(), "the metric's rhythm decides when a series with one sample is over")
	s.Sweep()
	require.False(t, changed(), "the same rhythm")
	require.False(t, k.Unchanged(ms(5)), "what stands until now is over")
	c.at(200)
	s.Sweep()
	require.True(t, changed(), "freed")
	in, ok := k.Instant(ms(200))
	require.True(t, ok)
	require.Zero(t, in.Len())
}

func TestKeptSeriesAreBounded(t *testing.T) {
	s, _ := newStore(t, Options{MaxSeries: 3})
	limit := 3 * keptPerSeries
	keep := func() *Kept {
		k, err := s.Keep(sel("m"), func() {})
		require.NoError(t, err)
		return k
	}
	push(t, s, series("m", "pod", "0"), 0, 1)
	push(t, s, series("m", "pod", "1"), 0, 1)
	var all []*Kept
	for range limit/2 - 1 {
		all = append(all, keep())
	}
	push(t, s, series("m", "pod", "2"), 0, 1) // five times one more, for four that fit
	lost := 0
	for _, k := range all {
		if _, ok := k.Instant(ms(0)); !ok {
			require.False(t, k.Unchanged(math.MaxInt64))
			lost++
		}
	}
	require.Positive(t, lost)
	require.LessOrEqual(t, s.KeptCount(), limit)
	for err := error(nil); err == nil; {
		var k *Kept
		if k, err = s.Keep(sel("m"), func() {}); err == nil {
			all = append(all, k)
		} else {
			require.ErrorIs(t, err, ErrKeepLimit)
		}
		require.LessOrEqual(t, s.KeptCount(), limit)
	}
	for _, k := range all {
		k.Close()
	}
	require.Zero(t, s.KeptCount())
	keep().Close()
}

// TestNewSeriesIsTestedAgainstFewWatches: KServe makes a query for each of a
// namespace's deployments, all of one metric.
func TestNewSeriesIsTestedAgainstFewWatches(t *testing.T) {
	s, _ := newStore(t, Options{})
	for i := range 1000 {
		_, err := s.Watch([][]*labels.Matcher{sel("m", "namespace", fmt.Sprint(i/500), "deployment", fmt.Sprint(i))}, func() {})
		require.NoError(t, err)
	}
	for key, ws := range s.watches.keys {
		require.LessOrEqual(t, len(ws), 2, key)
	}
	push(t, s, series("m", "namespace", "1", "deployment", "700", "pod", "a"), 0, 1)
	require.Len(t, s.watches.matching(series("m", "namespace", "1", "deployment", "700", "pod", "a")), 1)
}

// BenchmarkKeep is how long new series wait for the store, at most, while the first
// poll of a query looks up a hundred thousand.
func BenchmarkKeep(b *testing.B) {
	s := New(Options{})
	a := s.Appender()
	for i := range 100_000 {
		if _, err := a.Append(series("m", "pod", fmt.Sprint(i)), time.Now().UnixMilli(), 1); err != nil {
			b.Fatal(err)
		}
	}
	var stall time.Duration
	for i := range b.N {
		done := make(chan struct{})
		go func() {
			defer close(done)
			k, err := s.Keep(sel("m"), func() {})
			if err != nil {
				b.Error(err)
				return
			}
			k.Close()
		}()
		for j, running := 0, true; running; j++ {
			start := time.Now()
			lset := series("n", "pod", fmt.Sprint(i, "-", j%1000))
			if _, err := s.create(lset, hashOf(lset)); err != nil {
				b.Fatal(err)
			}
			stall = max(stall, time.Since(start))
			select {
			case <-done:
				running = false
			default:
			}
		}
	}
	b.ReportMetric(float64(stall.Microseconds()), "µs-stall")
}

// BenchmarkCreate is what a new series costs, by how many queries of other
// deployments there are.
func BenchmarkCreate(b *testing.B) {
	for _, watches := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("watches=%d", watches), func(b *testing.B) {
			s := New(Options{MaxSeries: math.MaxInt32})
			for i := range watches {
				if _, err := s.Keep(sel("m", "namespace", "a", "deployment", fmt.Sprint(i)), func() {}); err != nil {
					b.Fatal(err)
				}
			}
			lsets := make([]labels.Labels, b.N)
			for i := range lsets {
				lsets[i] = series("m", "namespace", "a", "deployment", "other", "pod", fmt.Sprint(i))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for _, lset := range lsets {
				if _, err := s.create(lset, hashOf(lset)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
