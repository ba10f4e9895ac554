package scaler

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	// tick is how often triggers are evaluated that change without a push: a series
	// becomes late, a window moves.
	tick = time.Second
	// share is the part of one core that each of the two workers takes: a tenth
	// together.
	share = 20
	// burst is how much of that may come at once.
	burst = 10 * time.Millisecond
	// costly is from when on an evaluation waits for a worker of its own: others must
	// not wait for it.
	costly = time.Millisecond
)

// evaluator evaluates triggers whose series have changed, in the background. A
// trigger is queued once, however many changes follow.
type evaluator struct {
	s     *Server
	ready [2]chan struct{} // by queue

	mu     sync.Mutex  // guards what follows
	queues [2][]*state // the cheap ones, and the costly ones
	open   map[*state]struct{}
}

func newEvaluator(s *Server) *evaluator {
	return &evaluator{
		s: s, open: map[*state]struct{}{},
		ready: [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)},
	}
}

// enqueue queues a trigger. A push calls it.
func (e *evaluator) enqueue(st *state) {
	if !st.queued.CompareAndSwap(0, e.s.now()) {
		return
	}
	queue := 0
	if st.took.Load() > int64(costly) {
		queue = 1
	}
	e.mu.Lock()
	e.queues[queue] = append(e.queues[queue], st)
	e.mu.Unlock()
	signal(e.ready[queue])
}

// opened notes a trigger that has a reader.
func (e *evaluator) opened(st *state) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open[st] = struct{}{}
}

// take returns the queued triggers.
func (e *evaluator) take(queue int) (taken []*state) {
	e.mu.Lock()
	defer e.mu.Unlock()
	taken, e.queues[queue] = e.queues[queue], nil
	return taken
}

// due queues the triggers whose decision is over, and closes those that KEDA no
// longer asks about.
func (e *evaluator) due() {
	now := e.s.now()
	since := e.s.opts.Now().Add(-forgetAfter)
	e.mu.Lock()
	open := slices.AppendSeq(make([]*state, 0, len(e.open)), maps.Keys(e.open))
	e.mu.Unlock()
	for _, st := range open {
		switch d := st.last.Load(); {
		case st.evicted.Load(), st.idle(since):
			e.close(st)
		case d == nil || now >= d.until || now < d.at:
			e.enqueue(st)
		}
	}
}

// close releases the trigger's series until KEDA asks again.
func (e *evaluator) close(st *state) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.reader != nil {
		st.reader.Close()
		st.reader = nil
		st.last.Store(nil)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.open, st)
}

// evaluate evaluates a trigger that was queued.
func (e *evaluator) evaluate(ctx context.Context, st *state) {
	st.lag.Store(e.s.now() - st.queued.Swap(0)) // before the look, so that a change during it counts
	if !st.evicted.Load() {
		_, _ = e.s.current(ctx, st) // the decision has the error
	}
}

// Tick evaluates every trigger that has changed or is due, and returns when that is
// done. Run does the same in the background.
func (s *Server) Tick(ctx context.Context) {
	s.evaluator.due()
	for queue := range s.evaluator.queues {
		for _, st := range s.evaluator.take(queue) {
			s.evaluator.evaluate(ctx, st)
		}
	}
}

// Run evaluates triggers in the background until ctx is done. It takes a tenth of
// a core at most: beyond that triggers are evaluated less often, at least at every
// poll.
func (s *Server) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	for queue := range s.evaluator.queues {
		workers.Go(func() { s.evaluator.work(ctx, queue) })
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for wait(ctx, nil, ticker.C) {
		s.evaluator.due()
	}
	workers.Wait()
	return nil
}

// work evaluates what is queued. A pause makes up for the time that it took.
func (e *evaluator) work(ctx context.Context, queue int) {
	var spent time.Duration // more than its share
	last := time.Now()
	for wait(ctx, nil, e.ready[queue]) {
		for i, st := range e.take(queue) {
			began := time.Now()
			spent = max(0, spent-began.Sub(last)/share)
			last = began
			e.evaluate(ctx, st)
			spent += time.Since(began)
			if spent > burst {
				if !wait(ctx, nil, time.After((spent-burst/2)*share)) {
					return
				}
			} else if i%16 == 15 {
				runtime.Gosched() // pushes come first
			}
		}
	}
}
