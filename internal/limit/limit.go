// Package limit bounds how many callers work at a time. It knows neither what they do
// nor what an error of theirs looks like.
package limit

import (
	"context"
	"sync"
)

// Semaphore bounds how many callers work at a time. Its len is how many do, its cap how
// many may. Those that wait continue in the order in which they came.
type Semaphore chan struct{}

// NewSemaphore returns a semaphore for n callers.
func NewSemaphore(n int) Semaphore { return make(Semaphore, n) }

// TryAcquire reports whether the caller may work. If so it must Release.
func (s Semaphore) TryAcquire() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

// Acquire waits until the caller may work, which must Release then. The error is the
// cause of the context's end.
func (s Semaphore) Acquire(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Release ends the work of a caller.
func (s Semaphore) Release() { <-s }

// Shared is a semaphore that also bounds the callers with the same key, such as a
// tenant. The zero key has no bound of its own.
type Shared[K comparable] struct {
	all   Semaphore
	share int

	mu   sync.Mutex // guards keys
	keys map[K]*keyed
}

// keyed is stored while some caller with its key works or waits.
type keyed struct {
	Semaphore
	users int
}

// NewShared returns a semaphore for n callers, and as many as share with the same key.
func NewShared[K comparable](n, share int) *Shared[K] {
	return &Shared[K]{all: NewSemaphore(n), share: share, keys: map[K]*keyed{}}
}

// Acquire waits until the caller may work, which must call release then. The error is
// the cause of the context's end.
func (s *Shared[K]) Acquire(ctx context.Context, key K) (release func(), err error) {
	var zero K
	if key == zero {
		return s.all.Release, s.all.Acquire(ctx)
	}
	own := s.enter(key)
	if err := own.Acquire(ctx); err != nil {
		s.leave(key)
		return nil, err
	}
	if err := s.all.Acquire(ctx); err != nil {
		own.Release()
		s.leave(key)
		return nil, err
	}
	return func() {
		s.all.Release()
		own.Release()
		s.leave(key)
	}, nil
}

func (s *Shared[K]) enter(key K) *keyed {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[key]
	if k == nil {
		k = &keyed{Semaphore: NewSemaphore(s.share)}
		s.keys[key] = k
	}
	k.users++
	return k
}

func (s *Shared[K]) leave(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[key]; k.users > 1 {
		k.users--
	} else {
		delete(s.keys, key)
	}
}

// Len returns how many callers work.
func (s *Shared[K]) Len() int { return len(s.all) }
