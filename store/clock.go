package store

import (
	"sync"
	"sync/atomic"
	"time"
)

// leastStep is from what difference on, in ms, the machine's clock was set, and
// did not just go a little faster.
const leastStep = 1000

// wallClock notices when the machine's clock is set, by the one beside it that nobody
// sets.
type wallClock struct {
	zero   time.Time    // when the other began, if it is that of Options.Now
	offset atomic.Int64 // of the machine's clock from the other, in ms
	steps  atomic.Int64 // how often it was set

	setting sync.Mutex // held while all times that are kept are moved
}

// now returns the time in ms. Before anybody sees the time of a clock that was set,
// all that is kept is moved with it: what arrived a second ago did so a second ago
// whatever the clock says now, or one that is set forward would end every series
// at once, and one that is set back keep them for ever.
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

// stepped moves what is kept. It tells no watch, since who asks for the time may
// hold all kinds of locks; the next sweep does. A request that began before appends
// its samples where it would have.
func (s *Store) stepped(offset int64) {
	s.clock.setting.Lock()
	defer s.clock.setting.Unlock()
	d := offset - s.clock.offset.Load()
	if d <= leastStep && d >= -leastStep {
		return // somebody was faster
	}
	var buf []*Series
	for i := range s.stripes {
		buf = s.stripes.snapshot(i, buf[:0])
		for _, ser := range buf {
			ser.mu.Lock()
			ser.ring.base += d
			ser.mu.Unlock()
		}
	}
	s.began.Add(d)
	s.clock.offset.Store(offset)
	s.clock.steps.Add(1)
	s.metrics.steps.Inc()
}
