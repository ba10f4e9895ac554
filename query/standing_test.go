package query

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// stands tells whether the next Eval will not evaluate.
func (p *Plan) stands(at time.Time) bool {
	st := &p.standing
	return st.kept != nil && at.UnixMilli() >= st.last.from && at.UnixMilli() < st.last.until && st.kept.Unchanged(st.last.until)
}

// TestStandingAnswersAgainstEngine: whatever happens to a store between two
// evaluations, the answer is what the engine says of it now.
func TestStandingAnswersAgainstEngine(t *testing.T) {
	stood, evaluated := 0, 0
	for seed := range uint64(50) {
		w := newWorld(t, &tape{randomBytes(seed, 1000)})
		plans := make([]*Plan, 4)
		for i := range plans {
			text, over := w.query()
			if i == 0 {
				text, over = `sum(m{namespace="a"})`, LastOne
			}
			var err error
			plans[i], err = w.engine.Compile(text, over)
			require.NoError(t, err)
		}
		for len(w.tp.data) > 0 {
			for range w.tp.n(3) {
				w.step()
			}
			w.now += []int64{0, 0, 1, 500, 4999, 10_000}[w.tp.n(6)]
			at := time.UnixMilli(w.now)
			if w.tp.n(8) == 0 {
				at = w.moment()
			}
			for _, p := range plans {
				if p.stands(at) {
					stood++
				} else {
					evaluated++
				}
				got, err := p.Eval(t.Context(), at)
				v, ok, wantErr := p.evalEngine(t.Context(), at)
				want, wantErr := p.answer(t.Context(), v, ok, wantErr)
				wantErr = p.overdue(wantErr)
				require.Equal(t, fmt.Sprint(wantErr), fmt.Sprint(err), "seed %d, %s: %v, want %v", seed, p, got, want)
				requireSame(t, want, got, p)
			}
		}
	}
	t.Logf("%d answers stood, %d were evaluated", stood, evaluated)
	require.Greater(t, stood, 1000)
	require.Greater(t, evaluated, 1000)
}

func TestAnswerStandsUntilSilenceEndsIt(t *testing.T) {
	f := newFixture(t)
	f.load(`
		x{pod="a"} 1 1 1
		x{pod="b"} _ 2 2
	`)
	p := f.plan(`sum(x)`, LastOne)
	sum := func(want float64) {
		t.Helper()
		v, err := p.Eval(t.Context(), f.now())
		require.NoError(t, err)
		require.InDelta(t, want, v, 0)
	}
	sum(3)
	f.wait(14_999 * time.Millisecond)
	require.True(t, p.stands(f.now()))
	sum(3)
	f.wait(time.Millisecond)
	require.False(t, p.stands(f.now()), "both are over now, and nobody has said a word")
	_, err := p.Eval(t.Context(), f.now())
	require.Error(t, err)
	f.wait(time.Minute)
	require.True(t, p.stands(f.now()), "an empty result stands until something comes")
	f.load(`x{pod="b"} 5`)
	require.False(t, p.stands(f.now()))
	sum(5)
	f.load(`y 1`)
	require.True(t, p.stands(f.now()), "another metric")
	f.load(`x{pod="new"} 1`)
	sum(6)
}

// TestLookBackHidesNoChange: an evaluation in the past leaves what stands alone.
func TestLookBackHidesNoChange(t *testing.T) {
	f := newFixture(t)
	f.load(`x 1 1 1`)
	p := f.plan(`sum(x)`, LastOne)
	eval := func(at time.Time) float64 {
		v, err := p.Eval(t.Context(), at)
		require.NoError(t, err)
		return v
	}
	eval(f.now())
	was := f.now()
	f.wait(5 * time.Second)
	eval(f.now())
	f.wait(5 * time.Second)
	f.load(`x 2`)
	require.InDelta(t, 1, eval(was), 0)
	require.InDelta(t, 2, eval(f.now()), 0)
	require.InDelta(t, 1, eval(was), 0)
	require.True(t, p.stands(f.now()), "looking back costs no answer")
}

func TestPlanKeepsSeriesOnlyWhileItIsInUse(t *testing.T) {
	reg := prometheus.NewRegistry()
	f := newFixture(t)
	f.store = store.New(store.Options{Now: f.now, Registerer: reg})
	engine, err := New(Options{Store: f.store, CacheSize: 1})
	require.NoError(t, err)
	f.Engine = engine
	kept := func(want int) {
		t.Helper()
		n := 0.0
		families, err := reg.Gather()
		require.NoError(t, err)
		for _, mf := range families {
			if mf.GetName() == "keda_otel_scaler_series_kept" {
				n = mf.GetMetric()[0].GetGauge().GetValue()
			}
		}
		require.InDelta(t, want, n, 0)
	}
	f.load(`x{pod="a"} 1
		x{pod="b"} 1`)
	p := f.plan(`sum(x)`, LastOne)
	kept(0) // compiling costs nothing
	eval := func() {
		t.Helper()
		v, err := p.Eval(t.Context(), f.now())
		require.NoError(t, err)
		require.InDelta(t, 2, v, 0)
	}
	eval()
	kept(2)
	_ = f.plan(`avg(x)`, LastOne)
	kept(0) // evicted
	eval()
	kept(0) // and of use still, without keeping anything

	p = f.plan(`sum(x)`, LastOne)
	w, err := p.Watch(restless{})
	require.NoError(t, err)
	eval()
	kept(2)
	_ = f.plan(`avg(x)`, LastOne)
	eval()
	kept(2) // evicted while a stream hangs on it
	w.Close()
	kept(0)
}

// TestEvalSeesWhatWasCommittedBefore is for the race detector, too.
func TestEvalSeesWhatWasCommittedBefore(t *testing.T) {
	f := newFixture(t)
	const writers, rounds = 4, 300
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
	all := f.plan(`count(m)`, LastOne)
	spin(f.store.Sweep)
	spin(func() { _, _ = all.Eval(t.Context(), f.now()) })
	spin(func() {
		if w, err := all.Watch(restless{}); err == nil {
			w.Close()
		}
	})
	for i := range writers {
		newest := f.plan(fmt.Sprintf(`max(m{writer="%d"})`, i), LastOne)
		pods := f.plan(fmt.Sprintf(`count(m{writer="%d"})`, i), LastOne)
		spin(func() { _, _ = newest.Eval(t.Context(), f.now()) })
		writing.Go(func() {
			for r := 1; r <= rounds; r++ {
				a := f.store.Appender()
				for _, pod := range []int{0, r} {
					_, _ = a.Append(labels.FromStrings(labels.MetricName, "m", "writer", fmt.Sprint(i), "pod", fmt.Sprint(pod)), f.ms.Add(1), float64(r))
				}
				a.Commit()
				if v, err := newest.Eval(t.Context(), f.now()); err != nil || v != float64(r) {
					t.Errorf("%v %v after %d was committed", v, err, r)
				}
				if v, err := pods.Eval(t.Context(), f.now()); err != nil || v != float64(r+1) {
					t.Errorf("%v pods, %v, after %d were committed", v, err, r+1)
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	background.Wait()
	v, err := all.Eval(t.Context(), f.now())
	require.NoError(t, err)
	require.InDelta(t, writers*(rounds+1), v, 0)
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
	push := func(pod int, v float64) {
		a := f.store.Appender()
		_, err := a.Append(labels.FromStrings(labels.MetricName, "m", "pod", fmt.Sprint(pod)), f.ms.Load(), v)
		require.NoError(t, err)
		a.Commit()
	}
	for pod := range checkEvery {
		push(pod, 0)
	}
	p := f.plan(`sum(m)`, LastOne)
	f.wait(time.Second)
	for _, pod := range []int{0, checkEvery + 1} { // one that was there, and a new one
		ctx := &halfway{Context: t.Context(), do: func() { push(pod, 1) }}
		_, err := p.Eval(ctx, f.now())
		require.NoError(t, err)
		require.Greater(t, ctx.looks, 1)
		require.False(t, p.stands(f.now()))
		f.wait(time.Second)
	}
	v, err := p.Eval(t.Context(), f.now())
	require.NoError(t, err)
	require.InDelta(t, 2, v, 0)
}
