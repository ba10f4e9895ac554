package store

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/labelindex"
)

// TestSelectionSeriesAreThoseThatMatch: created and freed ones included, in the order
// in which the index has them.
func TestSelectionSeriesAreThoseThatMatch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	s, c := newStore(t, Options{})
	selectors := [][]*labels.Matcher{sel("m"), sel("m", "ns", "1"), sel("", "ns", "1", "pod", "3"), sel("n", "pod", "")}
	kept := make([]*Selection, len(selectors))
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
			kept[i], err = s.Select(selectors[i], 0, func() {})
			require.NoError(t, err)
		case rnd.IntN(100) == 0:
			k.Close()
			kept[i] = nil
		default:
			found, err := s.index.Find(t.Context(), selectors[i]...)
			require.NoError(t, err)
			in, err := k.Instant(t.Context(), &View{At: ms(float64(at))})
			require.NoError(t, err)
			require.True(t, stored(k))
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
	require.Zero(t, s.SelectedCount())
	require.Empty(t, s.selections)
}

// podsOf tells series apart by a label; they print as all that hangs on them.
func podsOf(s *Store, all []*Series) []string {
	pods := make([]string, len(all))
	for i, ser := range all {
		pods[i] = s.index.Label(ser, "pod")
	}
	return pods
}

func stored(sel *Selection) bool { return sel.series.Load() != nil }

// meanwhile is a context that calls a function once, during a look-up.
type meanwhile struct {
	context.Context
	happens func()
}

func (m *meanwhile) Err() error {
	if f := m.happens; f != nil {
		m.happens = nil
		f()
	}
	return nil
}

// TestReadMeetsWhatHappensMeanwhile, step by step.
func TestReadMeetsWhatHappensMeanwhile(t *testing.T) {
	s, _ := newStore(t, Options{})
	pod := func(name string) *Series {
		push(t, s, series("m", "pod", name), 0, 1)
		return lookUp(s, series("m", "pod", name))
	}
	first, second, third := pod("1"), pod("2"), pod("3")
	free := func(ser *Series) { s.free([]*Series{ser}, ms(200), touched{}) }
	k, err := s.Select(sel("m"), 0, func() {})
	require.NoError(t, err)
	for _, happens := range []func(){func() { free(second) }, func() { pod("4") }} {
		k.clearLocked()
		_, err = k.all(&meanwhile{t.Context(), happens})
		require.NoError(t, err)
		require.False(t, stored(k), "the look-up may not have seen it")
	}
	all, err := k.all(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"1", "3", "4"}, podsOf(s, all))
	require.Equal(t, all, *k.series.Load())
	require.Equal(t, 3, s.SelectedCount())
	free(third)
	require.False(t, stored(k))
	second.detach(k)
	second.attach(k)
	require.Empty(t, second.selectionsLocked(), "it was freed")
	k.Close()
	require.Zero(t, s.SelectedCount())
	require.Empty(t, s.selections)
	require.Empty(t, first.selectionsLocked())
}

// TestSelectionSeriesComeAndGoMeanwhile: a selector's series are looked up while
// others are made and freed.
func TestSelectionSeriesComeAndGoMeanwhile(t *testing.T) {
	s, c := newStore(t, Options{})
	const pods = 500
	for pod := range pods {
		push(t, s, series("m", "pod", fmt.Sprint("old", pod)), 0, 1)
	}
	hung := func(k *Selection) (n int) {
		for ser := range s.index.All {
			for _, w := range ser.selectionsLocked() {
				if w == k {
					n++
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
		k, err := s.Select(sel("m"), 0, func() {})
		require.NoError(t, err)
		for range 10 {
			_, err := k.Instant(t.Context(), &View{})
			require.NoError(t, err)
		}
		meanwhile.Wait()
		found, err := s.index.Find(t.Context(), sel("m")...)
		require.NoError(t, err)
		in, err := k.Instant(t.Context(), &View{At: ms(float64(200 * round))})
		require.NoError(t, err)
		require.True(t, stored(k))
		require.Equal(t, podsOf(s, found), podsOf(s, in.series))
		require.Equal(t, len(found), s.SelectedCount())
		require.Equal(t, len(found), hung(k), "each has the selection, once")
		k.Close()
		require.Zero(t, hung(k))
		require.Zero(t, s.SelectedCount())
	}
}

func TestSelectionKnowsWhatConcernsIt(t *testing.T) {
	s, c := newStore(t, Options{})
	push(t, s, series("m", "ns", "a"), 0, 1)
	k, err := s.Select(sel("m", "ns", "a"), 0, func() {})
	require.NoError(t, err)
	defer k.Close()
	changed := func() bool {
		was := !k.Armed()
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
	require.True(t, changed(), "the metric's push interval decides when a series with one sample is silent")
	s.Sweep()
	require.False(t, changed(), "the same push interval")
	c.at(200)
	s.Sweep()
	require.True(t, changed(), "freed")
	in, err := k.Instant(t.Context(), &View{At: ms(200)})
	require.NoError(t, err)
	require.Zero(t, in.Len())
}

func TestStoredSelectionsAreBounded(t *testing.T) {
	s, _ := newStore(t, Options{MaxSeries: 3})
	limit := 3 * selectedPerSeries
	var all []*Selection
	add := func() *Selection {
		k, err := s.Select(sel("m"), 0, func() {})
		require.NoError(t, err)
		_, err = k.all(t.Context())
		require.NoError(t, err)
		all = append(all, k)
		return k
	}
	push(t, s, series("m", "pod", "0"), 0, 1)
	push(t, s, series("m", "pod", "1"), 0, 1)
	for range limit/2 - 1 {
		require.True(t, stored(add()))
	}
	push(t, s, series("m", "pod", "2"), 0, 1) // five times one more, for four that fit
	lost := 0
	for _, k := range all {
		require.False(t, k.Armed())
		if !stored(k) {
			lost++
		}
	}
	require.Positive(t, lost)
	require.LessOrEqual(t, s.SelectedCount(), limit)
	for stored(add()) {
		require.LessOrEqual(t, s.SelectedCount(), limit)
	}
	require.LessOrEqual(t, s.SelectedCount(), limit)
	for _, k := range all { // all read and are notified the same
		k.Arm()
		in, err := k.Instant(t.Context(), &View{At: ms(0)})
		require.NoError(t, err)
		require.Equal(t, 3, in.Len())
		require.True(t, k.Armed())
	}
	push(t, s, series("m", "pod", "0"), -1, 1)
	for _, k := range all {
		require.False(t, k.Armed())
		k.Close()
	}
	require.Zero(t, s.SelectedCount())
	require.True(t, stored(add()))
}

// TestNewSeriesIsTestedAgainstFewSelections: KServe makes a query for each of a
// namespace's deployments, all of one metric.
func TestNewSeriesIsTestedAgainstFewSelections(t *testing.T) {
	s, _ := newStore(t, Options{})
	for i := range 1000 {
		_, err := s.Select(sel("m", "namespace", fmt.Sprint(i/500), "deployment", fmt.Sprint(i)), 0, func() {})
		require.NoError(t, err)
	}
	for key, ws := range s.selections {
		require.LessOrEqual(t, len(ws), 2, key)
	}
	push(t, s, series("m", "namespace", "1", "deployment", "700", "pod", "a"), 0, 1)
	require.Len(t, s.selections.matching(series("m", "namespace", "1", "deployment", "700", "pod", "a")), 1)
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
			k, err := s.Select(sel("m"), 0, func() {})
			if err != nil {
				b.Error(err)
				return
			}
			k.Close()
		}()
		for j, running := 0, true; running; j++ {
			start := time.Now()
			lset := series("n", "pod", fmt.Sprint(i, "-", j%1000))
			if _, err := s.create(lset, labelindex.Hash(lset)); err != nil {
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
				if _, err := s.Select(sel("m", "namespace", "a", "deployment", fmt.Sprint(i)), 0, func() {}); err != nil {
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
				if _, err := s.create(lset, labelindex.Hash(lset)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
