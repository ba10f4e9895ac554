package scaler

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// breath is how long a follower is left alone after a change: what it shows is
// for people, and is made from all of an object's series.
const breath = 100 * time.Millisecond

// Follow sends a ScaledObject's view now, and after each change of an answer,
// until send fails, ctx is done, or the server stops, which is no error. The
// error wraps ErrUnknown if nothing is known, or any more.
func (s *Server) Follow(ctx context.Context, object Object, limit int, send func(View) error) error {
	f := &follower{s: s, changed: s.objects.watch(object), watches: map[*state]*followed{}}
	defer f.running.Wait()
	defer f.close()
	defer s.objects.unwatch(object, f.changed)
	for {
		if err := f.follow(ctx, s.objects.of(object)); err != nil {
			return err
		}
		v, err := s.Explain(ctx, object, limit)
		if err != nil {
			return err
		}
		if f.news(v) {
			if err := send(v); err != nil {
				return err
			}
		}
		for _, wake := range []<-chan struct{}{after(breath), f.changed} {
			select {
			case <-wake:
			case <-ctx.Done():
				return ctx.Err()
			case <-s.stopped:
				return nil
			}
		}
	}
}

func after(d time.Duration) <-chan struct{} {
	done := make(chan struct{})
	time.AfterFunc(d, func() { close(done) })
	return done
}

// follower watches an object's triggers.
type follower struct {
	s       *Server
	changed chan struct{} // ready after any change
	watches map[*state]*followed
	running sync.WaitGroup
	sent    *sent
}

// sent is by what a view is told from the one before.
type sent struct {
	answers []Answer
	targets []float64
	refused bool
}

// followed is a trigger that is watched. It implements query.Listener.
type followed struct {
	watch *query.Watch
	value atomic.Uint64 // the bits of what was looked at last; NaN while nothing was
	stop  chan struct{}
}

// Settled implements query.Listener.
func (f *followed) Settled(v float64, whole bool) bool {
	return whole && math.Float64frombits(f.value.Load()) == v
}

// follow arms what is watched, and watches what is new.
func (f *follower) follow(ctx context.Context, states []*state) error {
	left := map[*state]*followed{}
	for _, st := range states[:min(len(states), MaxShown)] {
		w := f.watches[st]
		if w == nil {
			var err error
			if w, err = f.start(st); err != nil {
				maps.Copy(f.watches, left) // to be closed
				return err
			}
		}
		delete(f.watches, st)
		left[st] = w
	}
	f.close() // those that are no longer there
	f.watches = left
	for st, w := range left {
		w.value.Store(math.Float64bits(math.NaN()))
		w.watch.Arm()
		if q, err := f.s.question(st); err == nil {
			if v, err := q.plan.Eval(ctx, f.s.opts.Now()); err == nil {
				w.value.Store(math.Float64bits(v))
			}
		}
	}
	return nil
}

func (f *follower) start(st *state) (*followed, error) {
	q, err := f.s.question(st)
	if err != nil {
		return nil, err
	}
	w := &followed{stop: make(chan struct{})}
	w.value.Store(math.Float64bits(math.NaN()))
	if w.watch, err = q.plan.Watch(w); err != nil {
		return nil, err
	}
	f.running.Go(func() {
		for {
			select {
			case <-w.watch.Changed():
			case <-w.stop:
				return
			}
			select {
			case f.changed <- struct{}{}:
			default:
			}
		}
	})
	return w, nil
}

// news tells whether a view says something else than the last.
func (f *follower) news(v View) bool {
	now := &sent{refused: v.Refusal != nil}
	for i := range v.Explained {
		a := v.Explained[i].Now
		a.At = time.Time{}
		now.answers = append(now.answers, a)
		now.targets = append(now.targets, v.Explained[i].Metadata.Target)
	}
	last := f.sent
	f.sent = now
	return last == nil || now.refused != last.refused || !slices.Equal(now.targets, last.targets) || !slices.Equal(now.answers, last.answers)
}

// close ends the watches.
func (f *follower) close() {
	for _, w := range f.watches {
		close(w.stop)
		w.watch.Close()
	}
	clear(f.watches)
}
