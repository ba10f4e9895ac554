package scaler

import (
	"context"
	"runtime"
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
	s    *Server
	wake [2]chan struct{} // by queue

	mu     sync.Mutex  // guards what follows
	queues [2][]*state // the cheap ones, and the costly ones
	open   map[*state]struct{}
}

func newEvaluator(s *Server) *evaluator {
	return &evaluator{
		s: s, open: map[*state]struct{}{},
		wake: [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)},
	}
}

// enqueue queues a trigger. It is called by those who push.
func (e *evaluator) enqueue(st *state) {
	if st.queued.Swap(true) {
		return
	}
	queue := 0
	if st.took.Load() > int64(costly) {
		queue = 1
	}
	e.mu.Lock()
	e.queues[queue] = append(e.queues[queue], st)
	e.mu.Unlock()
	select {
	case e.wake[queue] <- struct{}{}:
	default:
	}
}

// opened notes a trigger that has a reader.
func (e *evaluator) opened(st *state) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open[st] = struct{}{}
}

// take returns the queued triggers.
func (e *evaluator) take(queue int, buf []*state) []*state {
	e.mu.Lock()
	defer e.mu.Unlock()
	taken := e.queues[queue]
	e.queues[queue] = buf[:0]
	return taken
}

// due queues the triggers whose decision is over, and lets those go that KEDA no
// longer asks about.
func (e *evaluator) due() {
	now := e.s.now()
	idle := e.s.opts.Now().Add(-forgetAfter)
	var due, gone []*state
	e.mu.Lock()
	for st := range e.open {
		switch d := st.last.Load(); {
		case st.evicted.Load(), st.streams.Load() == 0 && st.askedAt().Before(idle):
			delete(e.open, st)
			gone = append(gone, st)
		case d == nil || now >= d.until || now < d.at:
			due = append(due, st)
		}
	}
	e.mu.Unlock()
	for _, st := range due {
		e.enqueue(st)
	}
	for _, st := range gone {
		st.close()
	}
}

// close lets the trigger's series go until KEDA asks again.
func (st *state) close() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.reader != nil {
		st.reader.Close()
		st.reader = nil
		st.last.Store(nil)
	}
}

// evaluate evaluates a trigger that was queued.
func (e *evaluator) evaluate(ctx context.Context, st *state) {
	st.queued.Store(false) // before the look, so that a change during it counts
	if st.evicted.Load() {
		return
	}
	_, _ = e.s.current(ctx, st) // the decision says what failed
}

// Tick evaluates every trigger that has changed or is due, and returns when that is
// done. Run does the same in the background.
func (s *Server) Tick(ctx context.Context) {
	s.evaluator.due()
	for queue := range s.evaluator.queues {
		for _, st := range s.evaluator.take(queue, nil) {
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
	for {
		select {
		case <-ticker.C:
			s.evaluator.due()
		case <-ctx.Done():
			workers.Wait()
			return nil
		}
	}
}

// work evaluates what is queued. Time that it took is made up for by a pause.
func (e *evaluator) work(ctx context.Context, queue int) {
	var spent time.Duration // more than its share
	var batch []*state
	last := time.Now()
	for {
		select {
		case <-e.wake[queue]:
		case <-ctx.Done():
			return
		}
		batch = e.take(queue, batch)
		for i, st := range batch {
			began := time.Now()
			spent = max(0, spent-began.Sub(last)/share)
			last = began
			e.evaluate(ctx, st)
			spent += time.Since(began)
			batch[i] = nil
			if spent > burst {
				if !pause(ctx, (spent-burst/2)*share) {
					return
				}
			} else if i%16 == 15 {
				runtime.Gosched() // those who push come first
			}
		}
	}
}

// pause waits; it returns false if ctx is done before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
