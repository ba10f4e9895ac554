package query

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// errTurn is why an evaluation did not begin.
var errTurn = errors.New("other queries that only the PromQL engine can evaluate took all the time there is")

// turns bound what the engine takes of the CPU for triggers: as many evaluations
// at a time as there are cores, and of one scope, which is a tenant, half of
// them. What is answered without the engine needs no turn.
type turns struct {
	all  chan struct{}
	each int

	mu     sync.Mutex // guards what follows
	scopes map[Scope]*scopeTurns
}

// scopeTurns are there while somebody has one or waits for one.
type scopeTurns struct {
	turns chan struct{}
	users int
}

func newTurns(most int) *turns {
	if most <= 0 {
		most = max(2, runtime.GOMAXPROCS(0))
	}
	return &turns{all: make(chan struct{}, most), each: max(1, most/2), scopes: map[Scope]*scopeTurns{}}
}

// take waits for a turn for so long at most. done gives it back.
func (t *turns) take(ctx context.Context, scope Scope, wait time.Duration) (done func(), err error) {
	own := t.enter(scope)
	late := time.NewTimer(wait)
	defer late.Stop()
	taken := 0
	done = func() {
		if taken > 1 {
			<-t.all
		}
		if taken > 0 && own != nil {
			<-own.turns
		}
		t.leave(scope)
	}
	for _, turn := range []chan struct{}{t.ofScope(own), t.all} {
		if turn != nil {
			select {
			case turn <- struct{}{}:
			case <-late.C:
				err = fmt.Errorf("%w: %s", errTurn, wait)
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		if err != nil {
			done()
			return nil, err
		}
		taken++
	}
	return done, nil
}

// ofScope is nil for a query that sees everything.
func (*turns) ofScope(s *scopeTurns) chan struct{} {
	if s == nil {
		return nil
	}
	return s.turns
}

func (t *turns) enter(scope Scope) *scopeTurns {
	if scope.Label == "" {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.scopes[scope]
	if s == nil {
		s = &scopeTurns{turns: make(chan struct{}, t.each)}
		t.scopes[scope] = s
	}
	s.users++
	return s
}

func (t *turns) leave(scope Scope) {
	if scope.Label == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.scopes[scope]; s.users > 1 {
		s.users--
	} else {
		delete(t.scopes, scope)
	}
}
