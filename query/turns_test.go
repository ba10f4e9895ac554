package query

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAScopeHasHalfOfTheTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(4)
		a, b := Scope{"namespace", "a"}, Scope{"namespace", "b"}
		take := func(s Scope) func() {
			done, err := turns.take(t.Context(), s, time.Second)
			require.NoError(t, err, s.Value)
			return done
		}
		first, second := take(a), take(a)
		began := time.Now()
		_, err := turns.take(t.Context(), a, time.Second)
		require.ErrorIs(t, err, errTurn)
		require.Equal(t, time.Second, time.Since(began))
		third := take(b)
		fourth := take(Scope{})
		_, err = turns.take(t.Context(), b, time.Second)
		require.ErrorIs(t, err, errTurn, "all are taken")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = turns.take(ctx, Scope{}, time.Second)
		require.ErrorIs(t, err, context.Canceled)

		waiting := make(chan func())
		go func() { waiting <- take(a) }()
		synctest.Wait()
		first()
		for _, done := range []func(){<-waiting, second, third, fourth} {
			done()
		}
		require.Empty(t, turns.scopes)
		require.Empty(t, turns.all)
	})
}

// TestOnlyTheEngineWaits: what is answered from the rings goes on while somebody
// else's expensive queries have all the turns.
func TestOnlyTheEngineWaits(t *testing.T) {
	f := newFixture(t)
	f.load(`x{namespace="a"} 1`)
	f.opts.Timeout = 10 * time.Millisecond
	done, err := f.turns.take(t.Context(), ours, time.Second)
	require.NoError(t, err)
	defer done()
	for range cap(f.turns.all) - 1 {
		done, err := f.turns.take(t.Context(), Scope{}, time.Second)
		require.NoError(t, err)
		defer done()
	}
	eval := func(text string) error {
		p, err := f.CompileWithin(ours, text, LastOne)
		require.NoError(t, err)
		r, err := p.Open(func() {})
		require.NoError(t, err)
		defer r.Close()
		_, err = r.Value(t.Context(), View{At: f.ms.Load()})
		return err
	}
	require.NoError(t, eval(`sum(x)`))
	err = eval(`sum(x) + 1`)
	require.ErrorIs(t, err, ErrEvaluation)
	require.ErrorIs(t, err, errTurn)
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

// TestATurnLastsAsLongAsTheEvaluation, of which the engine's own look at the
// context is a part.
func TestATurnLastsAsLongAsTheEvaluation(t *testing.T) {
	f := newFixture(t)
	f.load(`x 1`)
	p, err := f.Compile(`sum(x) + 1`, LastOne)
	require.NoError(t, err)
	most := 0
	_, _, err = p.Eval(seen{t.Context(), func() { most = max(most, len(f.turns.all)) }}, f.now())
	require.NoError(t, err)
	require.Equal(t, 1, most)
	require.Empty(t, f.turns.all)
}

func TestALongEvaluationIsTold(t *testing.T) {
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
