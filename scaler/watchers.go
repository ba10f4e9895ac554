package scaler

import (
	"context"
	"sync"
)

// watchers wait for changes of what has a key.
type watchers[K comparable] struct {
	mu  sync.Mutex // guards all; nothing is locked after it
	all map[K][]chan struct{}
}

func newWatchers[K comparable]() watchers[K] { return watchers[K]{all: map[K][]chan struct{}{}} }

// watch returns a channel that is ready after a change, until stop is called.
func (w *watchers[K]) watch(key K) (changed <-chan struct{}, stop func()) {
	own := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all[key] = append(w.all[key], own)
	return own, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		remove(w.all, key, func(c chan struct{}) bool { return c == own })
	}
}

// notify makes the channels ready. It does not wait.
func (w *watchers[K]) notify(key K) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, changed := range w.all[key] {
		signal(changed)
	}
}

// signal makes a channel of capacity 1 ready.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// wait waits until a channel is ready. It returns false if ctx or stopped is done
// before.
func wait[T any](ctx context.Context, stopped <-chan struct{}, ready <-chan T) bool {
	select {
	case <-ready:
		return true
	case <-ctx.Done():
	case <-stopped:
	}
	return false
}
