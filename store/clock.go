package store

import (
	"sync"
	"sync/atomic"
	"time"
)

// leastStep is the difference, in ms, from which on the machine's clock was set, and not
// just corrected slowly.
const leastStep = 1000

// wallClock detects that the machine's clock is set, by comparison with a clock that
// nobody sets.
type wallClock struct {
	zero   time.Time    // when the other clock began, if it is that of Options.Now
	offset atomic.Int64 // of the machine's clock from the other, in ms
	shift  atomic.Int64 // by how much it was set in all, in ms
	steps  atomic.Int64 // how often it was set

	setting sync.Mutex // locked while all stored times are moved
}

// now returns the time in ms. Before it returns the time of a clock that was set, it
// moves all stored times with it: what arrived a second ago did so a second ago.
// Otherwise a clock that is set forward would end every series at once, and one that is
// set back would retain them forever.
func (s *Store) now() int64 {
	t := s.opts.Now()
	elapsed := t.Sub(s.clock.zero)
	if s.opts.Elapsed != nil {
		elapsed = s.opts.Elapsed()
	}
	offset := t.UnixMilli() - elapsed.Milliseconds()
	if d := offset - s.clock.offset.Load(); d > leastStep || d < -leastStep {
		s.stepped(offset)
	}
	return t.UnixMilli()
}

// stepped moves all stored times. It notifies no selection, since the caller may hold
// any lock; the next sweep does. A request that began before appends its samples where
// it would have.
func (s *Store) stepped(offset int64) {
	s.clock.setting.Lock()
	defer s.clock.setting.Unlock()
	d := offset - s.clock.offset.Load()
	if d <= leastStep && d >= -leastStep {
		return // another call was faster
	}
	for ser := range s.index.All {
		ser.mu.Lock()
		ser.ring.Shift(d)
		ser.mu.Unlock()
	}
	s.rejected.move(d)
	s.rejectedZeros.move(d)
	s.began.Add(d)
	s.clock.offset.Store(offset)
	s.clock.shift.Add(d)
	s.clock.steps.Add(1)
	s.metrics.steps.Inc()
}

// Now returns the time of the store's clock, in ms.
func (s *Store) Now() int64 { return s.now() }

// ClockShift returns by how much the clock was set so far, in ms. Stored times were
// moved with it, times that a caller stores are not.
func (s *Store) ClockShift() int64 { return s.clock.shift.Load() }
