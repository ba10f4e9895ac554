package query

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// judge is a listener to whom a value up to its limit is no news. It keeps what
// it was asked about.
type judge struct {
	limit float64
	asked []float64
}

func (j *judge) Settled(v float64, _ bool) bool {
	j.asked = append(j.asked, v)
	return v <= j.limit
}

// heard tells whether there may be news, and arms the watch again.
func (w *Watch) heard() bool {
	select {
	case <-w.Changed():
		w.Arm()
		return true
	default:
		return false
	}
}

func (f *fixture) watch(text string, l Listener) *Watch {
	f.t.Helper()
	w, err := f.plan(text, LastOne).Watch(l)
	require.NoError(f.t, err)
	f.t.Cleanup(w.Close)
	return w
}

func TestPushWakesOnlyWhomItsValueIsNewsTo(t *testing.T) {
	f := newFixture(t)
	low, high := &judge{limit: 2}, &judge{limit: 10}
	wHigh := f.watch(`sum(x)`, high)
	wLow, err := f.plan(`sum(x)`, LastOne).Watch(low)
	require.NoError(t, err)
	f.load(`x{pod="a"} 1 2`)
	require.False(t, wLow.heard())
	f.load(`x{pod="b"} 1`) // a new series
	require.True(t, wLow.heard())
	require.False(t, wHigh.heard())
	require.Equal(t, []float64{1, 2, 3}, low.asked, "each push, once")
	require.Equal(t, low.asked, high.asked)
	wLow.Close()
	f.wait(time.Second)
	f.load(`x{pod="a"} 20`)
	require.True(t, wHigh.heard())
	require.Len(t, low.asked, 3, "closed")
}

func TestListenerFindsOutItselfWhatIsNoNumber(t *testing.T) {
	for name, v := range map[string]float64{
		"ended": math.Float64frombits(value.StaleNaN), "NaN": math.NaN(), "infinite": math.Inf(1),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			w := f.watch(`sum(x)`, content{})
			push := func(v float64) {
				f.wait(time.Second)
				a := f.store.Appender()
				_, err := a.Append(labels.FromStrings(labels.MetricName, "x"), f.ms.Load(), v)
				require.NoError(t, err)
				a.Commit()
			}
			push(1)
			require.False(t, w.heard())
			push(v)
			require.True(t, w.heard())
			push(v)
			require.True(t, w.heard() || name == "ended", "a second marker is none")
			push(2)
			require.False(t, w.heard())
		})
	}
}

// TestSweepIsJudgedLikeAPush: silence of some series changes the value, of all
// leaves none.
func TestSweepIsJudgedLikeAPush(t *testing.T) {
	f := newFixture(t)
	j := &judge{limit: 10}
	w := f.watch(`sum(x)`, j)
	f.load(`
		x{pod="a"} 1 1 1
		x{pod="b"} 2 2 2
	`)
	j.asked = nil
	f.wait(5 * time.Second)
	f.load(`x{pod="a"} 1 1 1`)
	f.store.Sweep()
	require.Equal(t, []float64{3, 3, 1, 1}, j.asked, "the sweep, too")
	require.False(t, w.heard())
	f.wait(time.Minute)
	f.store.Sweep()
	require.True(t, w.heard(), "all silent")
	f.wait(10 * time.Minute)
	f.store.Sweep()
	require.True(t, w.heard(), "freed")
}

// TestLargePlanIsNotEvaluatedByPushes: neither for its series nor for its samples.
func TestLargePlanIsNotEvaluatedByPushes(t *testing.T) {
	for name, tc := range map[string]struct {
		text            string
		series, samples int
		glances         bool
	}{
		"few":               {`sum(x)`, maxGlance, 1, true},
		"many":              {`sum(x)`, maxGlance + 1, 1, false},
		"few of a range":    {`sum(rate(x[2m]))`, 4, maxGlance / 4, true},
		"many of a range":   {`sum(rate(x[2m]))`, 4, maxGlance/4 + 1, false},
		"what takes PromQL": {`sum(x) + 1`, 1, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			push := func(samples int) {
				for range samples {
					f.wait(time.Millisecond)
					a := f.store.Appender()
					for pod := range tc.series {
						_, err := a.Append(labels.FromStrings(labels.MetricName, "x", "pod", fmt.Sprint(pod)), f.ms.Load(), 1)
						require.NoError(t, err)
					}
					a.Commit()
				}
			}
			push(tc.samples)
			j := &judge{limit: math.Inf(1)}
			w := f.watch(tc.text, j)
			_, err := w.p.Eval(t.Context(), f.now())
			require.NoError(t, err)
			push(1)
			require.Equal(t, !tc.glances, w.heard())
			require.Len(t, j.asked, map[bool]int{true: 1}[tc.glances])
		})
	}
}

// TestPushWaitsForNoEvaluation of a poll's; it has the listener wait instead.
func TestPushWaitsForNoEvaluation(t *testing.T) {
	f := newFixture(t)
	w := f.watch(`sum(x)`, content{})
	w.p.standing.mu.Lock()
	f.load(`x 1`)
	w.p.standing.mu.Unlock()
	require.True(t, w.heard())
}

// TestPushSeesWhatAPollHasNotReported: a poll may have seen a change first.
func TestPushSeesWhatAPollHasNotReported(t *testing.T) {
	f := newFixture(t)
	j := &judge{limit: 1}
	w := f.watch(`sum(x)`, j)
	a := f.store.Appender()
	_, err := a.Append(labels.FromStrings(labels.MetricName, "x"), f.ms.Load(), 2)
	require.NoError(t, err)
	v, err := w.p.Eval(t.Context(), f.now())
	require.NoError(t, err)
	require.InDelta(t, 2, v, 0)
	require.True(t, w.p.stands(f.now()))
	a.Commit()
	require.True(t, w.heard())
	require.Equal(t, []float64{2}, j.asked)
}

// TestChangeDuringACommitIsSeen: it comes, with a later time, when the watch is
// marked already and not yet evaluated, and so is told by nobody but the first.
func TestChangeDuringACommitIsSeen(t *testing.T) {
	f := newFixture(t)
	j := &judge{limit: 10}
	f.watch(`sum(x)`, j)
	appends := func(pod string) *store.Appender {
		f.wait(time.Millisecond)
		a := f.store.Appender()
		_, err := a.Append(labels.FromStrings(labels.MetricName, "x", "pod", pod), f.ms.Load(), 1)
		require.NoError(t, err)
		return a
	}
	first, second := appends("a"), appends("b")
	second.Commit()
	require.Empty(t, j.asked)
	first.Commit()
	require.Equal(t, []float64{2}, j.asked)
}

// TestWatchNeedsNoRoom: where a plan's series are too many to be kept, its
// listeners hear all the same, and pushes evaluate once there is room.
func TestWatchNeedsNoRoom(t *testing.T) {
	f := newFixture(t)
	f.store = store.New(store.Options{Now: f.now, MaxSeries: 1}) // four kept
	e, err := New(Options{Store: f.store})
	require.NoError(t, err)
	f.Engine = e
	f.load(`x 1`)
	for i := range 4 {
		_, err := f.eval(fmt.Sprintf(`sum(x{pod!="%d"})`, i), LastOne)
		require.NoError(t, err)
	}
	j := &judge{limit: 10}
	w := f.watch(`sum(x)`, j)
	eval := func(want float64) {
		t.Helper()
		v, err := w.p.Eval(t.Context(), f.now())
		require.NoError(t, err)
		require.InDelta(t, want, v, 0)
	}
	f.wait(time.Second)
	f.load(`x 2`)
	require.True(t, w.heard())
	require.Empty(t, j.asked)
	eval(2)
	f.plans.Purge() // this plan, too, but for its listener
	eval(2)
	f.wait(time.Second)
	f.load(`x 3`)
	require.False(t, w.heard())
	require.Equal(t, []float64{3}, j.asked)
}

// counter is a listener to whom nothing is news, but that counts it.
type counter int

func (c *counter) Settled(float64, bool) bool { *c++; return true }

func TestPushAllocatesNothingForItsListeners(t *testing.T) {
	for _, text := range []string{`sum(x)`, `avg(x)`, `max(x)`, `sum(rate(x[1m]))`, `sum(avg_over_time(x[1m]) and x)`} {
		f := newFixture(t)
		j := counter(0)
		f.load(`
			x{pod="a"} 1 1 1
			x{pod="b"} 1 1 1
		`)
		w := f.watch(text, &j)
		_, err := w.p.Eval(t.Context(), f.now())
		require.NoError(t, err)
		a := f.store.Appender()
		held := a.Lookup(labels.FromStrings(labels.MetricName, "x", "pod", "a"))
		allocs := testing.AllocsPerRun(1000, func() {
			f.wait(time.Millisecond)
			a.Reset()
			_, _ = a.AppendTo(held, f.ms.Load(), 1)
			a.Commit()
		})
		// A ring that grows now and then is no matter of the watch's.
		require.Less(t, allocs, 0.1, text)
		require.Positive(t, j, text)
	}
}

// content is a listener to whom nothing is news.
type content struct{}

func (content) Settled(float64, bool) bool { return true }

// BenchmarkGlance is what a push pays for a plan with a stream, when nothing
// changes: by how many series the plan has, and in turns over so many plans that
// none is in a cache.
func BenchmarkGlance(b *testing.B) {
	for _, bc := range []struct {
		text          string
		series, plans int
	}{
		{`sum(m{deployment="%d"})`, 2, 1},
		{`sum(m{deployment="%d"})`, 2, 10_000},
		{`sum(m{deployment="%d"})`, 16, 1000},
		{`sum(m{deployment="%d"})`, 128, 1},
		{`sum(m{deployment="%d"})`, 128, 1000},
		{`sum(rate(m{deployment="%d"}[1m]))`, 2, 1},
		{`sum(rate(m{deployment="%d"}[1m]))`, 2, 10_000},
	} {
		b.Run(fmt.Sprintf("%s,series=%d,plans=%d", fmt.Sprintf(bc.text, 0), bc.series, bc.plans), func(b *testing.B) {
			s := store.New(store.Options{})
			e, err := New(Options{Store: s})
			require.NoError(b, err)
			start := time.Now().Add(-time.Minute).UnixMilli()
			plans := make([]*Plan, bc.plans)
			a := s.Appender()
			for at := range int64(12) {
				for i := range plans {
					for pod := range bc.series {
						_, err := a.Append(labels.FromStrings(labels.MetricName, "m", "deployment", fmt.Sprint(i), "pod", fmt.Sprint(pod)), start+5000*at, float64(at))
						require.NoError(b, err)
					}
				}
			}
			a.Commit()
			for i := range plans {
				plans[i], err = e.Compile(fmt.Sprintf(bc.text, i), LastOne)
				require.NoError(b, err)
				w, err := plans[i].Watch(content{})
				require.NoError(b, err)
				defer w.Close()
				_, err = plans[i].Eval(b.Context(), time.Now())
				require.NoError(b, err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				st := &plans[i*7919%len(plans)].standing
				st.last = answer{} // as if something had changed
				st.changed()
			}
		})
	}
}
