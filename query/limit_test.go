package query

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAScopeHasHalfOfTheEvaluations(t *testing.T) {
	f := newFixture(t)
	for most, half := range map[int]int{1: 1, 2: 1, 4: 2, 5: 2} {
		e, err := New(Options{Store: f.store, Concurrency: most})
		require.NoError(t, err)
		for range half {
			_, err := e.evaluations.Acquire(t.Context(), ours)
			require.NoError(t, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		_, err = e.evaluations.Acquire(ctx, ours)
		require.ErrorIs(t, err, context.Canceled, most)
		for range most - half {
			_, err := e.evaluations.Acquire(t.Context(), Scope{})
			require.NoError(t, err)
		}
	}
}

// TestOnlyTheEngineWaits: what is answered from the rings goes on while other
// expensive queries have the whole engine.
func TestOnlyTheEngineWaits(t *testing.T) {
	f := newFixture(t)
	f.load(`x{namespace="a"} 1`)
	f.opts.Timeout = 10 * time.Millisecond
	for range f.opts.Concurrency {
		_, err := f.evaluations.Acquire(t.Context(), Scope{})
		require.NoError(t, err)
	}
	eval := func(text string) error {
		p, err := f.Compile(ours, text, LastOne)
		require.NoError(t, err)
		r, err := p.Open(func() {})
		require.NoError(t, err)
		defer r.Close()
		_, err = r.Value(t.Context(), View{At: f.ms.Load()})
		return err
	}
	require.NoError(t, eval(`sum(x)`))
	err := eval(`sum(x) + 1`)
	require.ErrorIs(t, err, ErrEvaluation)
	require.ErrorIs(t, err, errBusy)
}

// seen is a context that looks at something each time somebody waits for its end.
type seen struct {
	context.Context
	look func()
}

func (s seen) Done() <-chan struct{} {
	s.look()
	return s.Context.Done()
}

// TestTheSemaphoreIsTakenAsLongAsTheEvaluation, of which the engine's own look at the
// context is a part.
func TestTheSemaphoreIsTakenAsLongAsTheEvaluation(t *testing.T) {
	f := newFixture(t)
	f.load(`x 1`)
	p, err := f.Compile(Scope{}, `sum(x) + 1`, LastOne)
	require.NoError(t, err)
	most := 0
	_, _, err = p.Eval(seen{t.Context(), func() { most = max(most, f.evaluations.Len()) }}, f.now())
	require.NoError(t, err)
	require.Equal(t, 1, most)
	require.Zero(t, f.evaluations.Len())
}

func TestALongEvaluationIsReported(t *testing.T) {
	long := 0
	f := newFixture(t)
	f.opts.Long = func() { long++ }
	f.load(`x 1`)
	eval := func(text string) {
		_, err := f.open(text).Value(t.Context(), View{At: f.ms.Load()})
		require.NoError(t, err)
	}
	f.long = time.Hour
	eval(`sum(x) + 1`)
	require.Zero(t, long)
	f.long = 0 // as which everything counts
	eval(`sum(x)`)
	require.Zero(t, long, "what needs no engine keeps no core")
	eval(`sum(x) + 2`)
	require.Equal(t, 1, long)
}
