package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// pace sends at about that many points a second until stop is called, each
// worker on a schedule of its own that is shifted against the others'. ended
// carries the error that ends it early; stop returns that error, too.
func (g *generator) pace(ctx context.Context, rate int) (ended <-chan error, stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	group, groupCtx := errgroup.WithContext(ctx)
	begin := time.Now()
	for i, w := range g.workers {
		interval := time.Duration(float64(w.requests[0].Points()*len(g.workers)) / float64(rate) * float64(time.Second))
		shift := interval * time.Duration(i) / time.Duration(len(g.workers))
		group.Go(func() error { return w.pace(groupCtx, begin.Add(shift), interval) })
	}
	failed := make(chan error, 1)
	var result error
	done := make(chan struct{})
	go func() {
		defer close(done)
		if result = group.Wait(); result != nil && ctx.Err() == nil {
			failed <- result
		}
	}()
	return failed, sync.OnceValue(func() error {
		running := ctx.Err() == nil
		cancel()
		<-done
		if running && errors.Is(result, errStopped) {
			return nil
		}
		return result
	})
}

// errStopped ends a worker that was told to stop, whichever call that found in.
var errStopped = errors.New("stopped")

func (w *worker) pace(ctx context.Context, next time.Time, interval time.Duration) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Until(next))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return errStopped
		}
		// Late sends are made up for, so that the rate is kept; it is the rate
		// that tells whether the server could not.
		next = next.Add(interval)
		if err := w.send(ctx, 1, now); err != nil {
			if ctx.Err() != nil {
				return errStopped
			}
			return err
		}
	}
}
