package query

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
)

// push appends one value now.
func (f *fixture) push(v float64, name string, kv ...string) {
	f.t.Helper()
	a := f.store.Appender()
	_, err := a.Append(labels.FromStrings(append([]string{labels.MetricName, name}, kv...)...), f.ms.Load(), v)
	require.NoError(f.t, err)
	a.Commit()
}

// survey looks at a reader's series; all that appear are of new senders.
func (f *fixture) survey(r *Reader) *Survey {
	f.t.Helper()
	s, err := r.Survey(f.t.Context(), 0)
	require.NoError(f.t, err)
	return s
}

// ids are those of a survey's silent series of a selector, by their values.
func ids(s *Survey, selector int, values ...float64) map[SeriesID]struct{} {
	out := map[SeriesID]struct{}{}
	for _, one := range s.Matched[selector].Silent {
		for _, v := range values {
			if one.Value == v {
				out[one.ID] = struct{}{}
			}
		}
	}
	return out
}

func TestSurveyReportsWhatEachSelectorMatches(t *testing.T) {
	f := newFixture(t)
	began := f.ms.Load()
	f.load(`
		x{pod="lives"} 1 1 1 1 1
		x{pod="late"}  2 2 2 _ _
		x{pod="ends"}  3 3 3 stale _
		y{pod="a"}     0 0 0 0 -1
	`)
	r := f.open(`sum(x) / count(y) or sum(z)`)
	s := f.survey(r)
	require.Equal(t, f.ms.Load(), s.At)
	require.Len(t, s.Matched, 3)
	for i := range s.Matched[0].Silent {
		require.NotEqual(t, SeriesID{}, s.Matched[0].Silent[i].ID)
		s.Matched[0].Silent[i].ID = SeriesID{}
	}
	require.ElementsMatch(t, []Silent{
		{Arrived: began + 10_000, Interval: 5000, Value: 2},
		{Arrived: began + 10_000, Ended: began + 15_000, Interval: 5000, Value: 3},
	}, s.Matched[0].Silent)
	require.Equal(t, 1, s.Matched[0].Live)
	require.Equal(t, []bool{false, true, false}, []bool{s.Matched[0].ZeroCounts, s.Matched[1].ZeroCounts, s.Matched[2].ZeroCounts})
	require.Equal(t, []bool{true, true, true}, []bool{s.Matched[0].Optional, s.Matched[1].Optional, s.Matched[2].Optional})
	require.Equal(t, Matched{Live: 1, ZeroCounts: true, Optional: true, Silent: []Silent{}}, Matched{Live: s.Matched[1].Live, ZeroCounts: true, Optional: true, Silent: append([]Silent{}, s.Matched[1].Silent...)})
	require.Zero(t, s.Matched[2].Live)
	require.Empty(t, s.Matched[2].Silent)
	require.True(t, s.Negative)
	require.Equal(t, f.ms.Load()+7500, s.Until, "when the live ones are late")

	f.wait(7500 * time.Millisecond)
	s = f.survey(r)
	require.Zero(t, s.Matched[0].Live)
	require.Len(t, s.Matched[0].Silent, 3)
	require.False(t, s.Negative, "no live one is")
	require.Equal(t, int64(math.MaxInt64), s.Until, "nothing changes without a push")
}

func TestSurveyReportsUncoveredWindows(t *testing.T) {
	f := newFixture(t)
	began := f.ms.Load()
	f.load(`
		x{pod="a"} 1x9
		x{pod="b"} _ _ _ _ _ _ 1x3
	`)
	r := f.open(`sum(rate(x[40s]))`)
	uncovered := func(newSince int64) int {
		s, err := r.Survey(t.Context(), newSince)
		require.NoError(t, err)
		return s.Matched[0].Uncovered
	}
	require.Equal(t, 1, uncovered(math.MaxInt64))
	require.Equal(t, 1, uncovered(began+30_001))
	require.Zero(t, uncovered(began+30_000), "the sender of b is new")
	require.Zero(t, f.survey(f.open(`sum(x)`)).Matched[0].Uncovered)
}

// TestAWindowMovesWithoutAPush: a decision about it does not hold.
func TestAWindowMovesWithoutAPush(t *testing.T) {
	f := newFixture(t)
	f.load(`x 1 1 1`)
	for text, moves := range map[string]bool{
		`sum(x)`: false, `sum(x) > 5`: false, `sum(rate(x[1m]))`: true, `sum(x offset 5s)`: true, `max_over_time(sum(x)[1m:])`: true,
		`sum(x) + time()`: true, `sum(timestamp(x))`: true, `sum(rate(never[1m]))`: false,
	} {
		r := f.open(text)
		require.Equal(t, moves, f.survey(r).Until == f.ms.Load()+1, text)
	}
}

func TestValueIsAValueEmptyOrFiltered(t *testing.T) {
	f := newFixture(t)
	f.load(`
		x{pod="a"} 1 1 1 1 1
		x{pod="b"} 2 2 2 2 2
		late       7 7 7 _ _
		few        _ _ _ _ 1
	`)
	for text, want := range map[string]Value{
		`sum(x)`:                        {State: HasValue, V: 3},
		`sum(x) + 1`:                    {State: HasValue, V: 4},
		`sum(x) > 1`:                    {State: HasValue, V: 3},
		`sum(x) > 5`:                    {State: Filtered},
		`5 < sum(x)`:                    {State: Filtered},
		`sum(x > 5)`:                    {State: Filtered},
		`sum(x) > sum(x)`:               {State: Filtered},
		`x > 5`:                         {State: Filtered},
		`sum(x unless x)`:               {State: Filtered},
		`sum by (pod) (x) > 5`:          {State: Filtered}, // several are removed
		`(sum(x) > 5) + 1`:              {State: Filtered},
		`sum(x) / (sum(x) > 5)`:         {State: Filtered},
		`sum(x) > bool 5`:               {State: HasValue},
		`sum(late)`:                     {State: Empty},
		`sum(late) > 5`:                 {State: Empty}, // there is nothing to compare
		`sum(x) > sum(late)`:            {State: Empty}, // the same
		`sum(never)`:                    {State: Empty},
		`sum(rate(few[1m]))`:            {State: Empty}, // of one sample
		`sum(rate(few[1m])) > 5`:        {State: Empty},
		`sum(x and on () late)`:         {State: Empty},
		`sum(rate(late[30s])) > 5`:      {State: Filtered}, // the window's samples stay
		`sum(max_over_time(late[30s]))`: {State: Empty},
		`absent(x)`:                     {State: Filtered},
		`absent(late)`:                  {State: HasValue, V: 1},
		`absent_over_time(late[10s])`:   {State: HasValue, V: 1},
		`absent_over_time(late[11s])`:   {State: Filtered},
	} {
		v, err := f.open(text).Value(t.Context(), View{At: f.ms.Load()})
		require.NoError(t, err, text)
		require.Equal(t, want, v, text)
	}
}

// TestValueWithoutEmptySelectors: what can only add counts as nothing, the rest is
// needed, and both are named.
func TestValueWithoutEmptySelectors(t *testing.T) {
	f := newFixture(t)
	f.load(`
		x 1 1 1
		y 2 2 2
	`)
	for _, tc := range []struct {
		text  string
		empty []bool
		want  Value
	}{
		{`sum(x) + sum(y)`, nil, Value{State: HasValue, V: 3}},
		{`sum(x) + sum(y)`, []bool{false, false}, Value{State: HasValue, V: 3}},
		{`sum(x) + sum(y)`, []bool{false, true}, Value{State: HasValue, V: 1, Missing: []int{1}}},
		{`sum(x) + sum(y)`, []bool{true, true}, Value{Missing: []int{0, 1}, Nothing: true}},
		{`sum(x) / sum(y)`, []bool{false, true}, Value{Needed: []int{1}}},
		{`sum(x) or sum(y)`, []bool{true, false}, Value{State: HasValue, V: 2}},
		{`(sum(x) + sum(y)) > 2`, []bool{false, true}, Value{State: Filtered, Missing: []int{1}}},
	} {
		r := f.open(tc.text)
		for range 2 { // the second from the reader's variants
			v, err := r.Value(t.Context(), View{At: f.ms.Load(), Empty: tc.empty})
			require.NoError(t, err, tc.text)
			require.Equal(t, tc.want, v, "%s without %v", tc.text, tc.empty)
		}
	}
}

// TestVariantsOfAQueryAreBounded, and each is right however many there were.
func TestVariantsOfAQueryAreBounded(t *testing.T) {
	f := newFixture(t)
	text := "sum(x0)"
	f.push(1, "x0")
	for i := range 5 {
		text += fmt.Sprintf(" + sum(x%d)", i+1)
		f.push(math.Pow(2, float64(i+1)), fmt.Sprint("x", i+1))
	}
	r := f.open(text)
	for set := range 64 {
		empty := make([]bool, 6)
		for i := range empty {
			empty[i] = set>>i&1 == 0
		}
		v, err := r.Value(t.Context(), View{At: f.ms.Load(), Empty: empty})
		require.NoError(t, err)
		require.InDelta(t, set, v.V, 0)
		require.LessOrEqual(t, len(r.variants), maxVariants)
	}
}

// TestValueUnderAView: with the series of a survey that are silent, without them, and
// as it was.
func TestValueUnderAView(t *testing.T) {
	f := newFixture(t)
	f.load(`
		x{pod="lives"} 1 1 1 1 1
		x{pod="late"}  2 2 2 _ _
		x{pod="ends"}  4 4 4 stale _
		c{pod="lives"} 0+5x4
		c{pod="late"}  0 10 20 _ _
	`)
	at := func(v View, ago time.Duration) View { v.At = f.ms.Load() - ago.Milliseconds(); return v }
	for _, text := range []string{`sum(x)`, `sum(x) + 0`} { // directly, and by the engine
		r := f.open(text)
		s := f.survey(r)
		value := func(v View) float64 {
			t.Helper()
			got, err := r.Value(t.Context(), v)
			require.NoError(t, err)
			require.Equal(t, HasValue, got.State)
			return got.V
		}
		require.InDelta(t, 1, value(at(View{}, 0)), 0)
		require.InDelta(t, 3, value(at(View{Carry: ids(s, 0, 2)}, 0)), 0)
		require.InDelta(t, 7, value(at(View{Carry: ids(s, 0, 2, 4)}, 0)), 0)
		require.InDelta(t, 7, value(at(View{AsOf: true}, 10*time.Second)), 0)
		require.InDelta(t, 5, value(at(View{AsOf: true, Without: ids(s, 0, 2)}, 10*time.Second)), 0)
		require.InDelta(t, 1, value(at(View{AsOf: true}, 2*time.Second)), 0)
	}
	r := f.open(`sum(rate(c[10s]))`)
	s := f.survey(r)
	v, err := r.Value(t.Context(), at(View{}, 0))
	require.NoError(t, err)
	require.InDelta(t, 1, v.V, 1e-9, "the late one has one sample in the window")
	v, err = r.Value(t.Context(), at(View{Carry: ids(s, 0, 20)}, 0))
	require.NoError(t, err)
	require.InDelta(t, 3, v.V, 1e-9)
}

// TestValueAsOfAMomentGoesByArrival: of a sender that lags by a minute.
func TestValueAsOfAMomentGoesByArrival(t *testing.T) {
	f := newFixture(t)
	lset := labels.FromStrings(labels.MetricName, "x")
	for _, v := range []float64{1, 2} {
		f.wait(5 * time.Second)
		a := f.store.Appender()
		_, err := a.Append(lset, f.ms.Load()-60_000, v)
		require.NoError(t, err)
		a.Commit()
	}
	for _, text := range []string{`sum(x)`, `sum(x) + 0`} {
		v, err := f.open(text).Value(t.Context(), View{At: f.ms.Load() - 5000, AsOf: true})
		require.NoError(t, err)
		require.Equal(t, Value{State: HasValue, V: 1}, v, text)
	}
}

func TestPushesChangeAReaderOnce(t *testing.T) {
	f := newFixture(t)
	calls := 0
	r, err := f.plan(`sum(x{ns="a"}) / sum(y)`, LastOne).Open(func() { calls++ })
	require.NoError(t, err)
	defer r.Close()
	f.survey(r)
	require.True(t, r.Unchanged())
	f.push(1, "x", "ns", "b")
	require.True(t, r.Unchanged(), "another namespace")
	require.Zero(t, calls)
	f.push(1, "x", "ns", "a")
	require.False(t, r.Unchanged(), "a new series")
	require.Equal(t, 1, calls)
	f.wait(time.Second)
	f.push(2, "x", "ns", "a")
	require.Equal(t, 1, calls, "once until the next survey")
	f.survey(r)
	require.True(t, r.Unchanged())
	f.push(1, "y")
	require.False(t, r.Unchanged(), "the second selector")
	require.Equal(t, 2, calls)
	f.survey(r)
	f.wait(time.Second)
	f.push(math.Float64frombits(value.StaleNaN), "y")
	require.False(t, r.Unchanged(), "its sender ended it")
	f.survey(r)
	f.wait(10 * time.Minute)
	f.store.Sweep()
	require.False(t, r.Unchanged(), "freed")
	require.Equal(t, 5, calls, "for each selector")
}

func TestClosedReaderIsNotCalled(t *testing.T) {
	f := newFixture(t)
	r, err := f.plan(`sum(x)`, LastOne).Open(func() { t.Error("called") })
	require.NoError(t, err)
	r.Close()
	f.push(1, "x")
	require.Zero(t, f.store.SelectedCount())
}

// TestReaderSelectsItsWindow: the store retains what the query reads.
func TestReaderSelectsItsWindow(t *testing.T) {
	f := newFixture(t)
	r := f.open(`sum(increase(x[5m]))`)
	for i := range 121 {
		f.push(float64(i), "x")
		f.wait(5 * time.Second)
	}
	f.push(121, "x")
	v, err := r.Value(t.Context(), View{At: f.ms.Load()})
	require.NoError(t, err)
	require.InDelta(t, 60, v.V, 1)
	require.Zero(t, f.survey(r).Matched[0].Uncovered)
}

func TestReaderReportsRejectedSamples(t *testing.T) {
	f := newFixture(t)
	p := f.plan(`sum(x) / sum(y)`, LastOne)
	require.NoError(t, p.Rejected())
	a := f.store.Appender()
	_, err := a.Append(labels.FromStrings(labels.MetricName, "y"), f.ms.Load()-180_000, 1)
	require.Error(t, err)
	require.NoError(t, f.plan(`sum(x)`, LastOne).Rejected())
	require.ErrorIs(t, p.Rejected(), ErrTooOld)
	require.ErrorContains(t, p.Rejected(), "the store rejects samples of y")
	f.wait(2 * time.Minute)
	require.NoError(t, p.Rejected())
}

// halfway is a context that does something while an evaluation looks at it.
type halfway struct {
	context.Context
	looks int
	do    func()
}

func (c *halfway) Err() error {
	if c.looks++; c.looks == 2 {
		c.do()
	}
	return c.Context.Err()
}

// TestPushDuringAnEvaluationIsNotLost: it comes after its series was read, and
// before the answer is there.
func TestPushDuringAnEvaluationIsNotLost(t *testing.T) {
	f := newFixture(t)
	for pod := range checkEvery {
		f.push(0, "m", "pod", fmt.Sprint(pod))
	}
	r := f.open(`sum(m)`)
	f.wait(100 * time.Millisecond)
	for _, pod := range []int{0, checkEvery + 1} { // one that was there, and a new one
		ctx := &halfway{Context: t.Context(), do: func() { f.push(1, "m", "pod", fmt.Sprint(pod)) }}
		s := f.survey(r)
		require.True(t, r.Unchanged())
		_, err := r.Value(ctx, View{At: s.At})
		require.NoError(t, err)
		require.Greater(t, ctx.looks, 1)
		require.False(t, r.Unchanged())
		f.wait(100 * time.Millisecond)
	}
	v, err := r.Value(t.Context(), View{At: f.survey(r).At})
	require.NoError(t, err)
	require.InDelta(t, 2, v.V, 0)
}

// TestReaderSeesWhatWasCommittedBefore is for the race detector, too.
func TestReaderSeesWhatWasCommittedBefore(t *testing.T) {
	f := newFixture(t)
	const writers, rounds = 4, 200
	stop := make(chan struct{})
	var background, writing sync.WaitGroup
	spin := func(do func()) {
		background.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					do()
				}
			}
		})
	}
	now := func(r *Reader) (float64, error) {
		s, err := r.Survey(t.Context(), 0)
		if err != nil {
			return 0, err
		}
		v, err := r.Value(t.Context(), View{At: s.At})
		return v.V, err
	}
	all, others := f.open(`count(m)`), f.plan(`count(m)`, LastOne)
	spin(f.store.Sweep)
	spin(func() { _, _ = now(all) })
	spin(func() {
		if r, err := others.Open(func() {}); err == nil {
			r.Close()
		}
	})
	for i := range writers {
		newest := f.open(fmt.Sprintf(`max(m{writer="%d"})`, i))
		pods := f.open(fmt.Sprintf(`count(m{writer="%d"})`, i))
		writing.Go(func() {
			for n := 1; n <= rounds; n++ {
				a := f.store.Appender()
				for _, pod := range []int{0, n} {
					_, _ = a.Append(labels.FromStrings(labels.MetricName, "m", "writer", fmt.Sprint(i), "pod", fmt.Sprint(pod)), f.ms.Add(1), float64(n))
				}
				a.Commit()
				if newest.Unchanged() {
					t.Error("unchanged after a commit")
				}
				if v, err := now(newest); err != nil || v != float64(n) {
					t.Errorf("%v %v after %d was committed", v, err, n)
				}
				if v, err := now(pods); err != nil || v != float64(n+1) {
					t.Errorf("%v pods, %v, after %d were committed", v, err, n+1)
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	background.Wait()
	v, err := now(all)
	require.NoError(t, err)
	require.InDelta(t, writers*(rounds+1), v, 0)
}
