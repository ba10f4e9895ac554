package store

import (
	"sync"
	"sync/atomic"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

// deltas are the series that senders push as deltas. A sender pushes no delta while
// nothing is counted: as long as it pushes anything else, the total is constant, which
// the store writes down as a sample.
type deltas struct {
	count atomic.Int32 // of senders, for requests that need not look

	mu      sync.Mutex // guards what follows
	senders map[uint64][]deltaSeries
}

// deltaSeries is a series and since when its total is constant, in ms; 0 if it is not.
type deltaSeries struct {
	series *Series
	idle   int64
}

// From says that the samples appended from now on are of the sender with that hash.
// The series that it pushes as deltas are live as long as it pushes anything.
func (a *Appender) From(sender uint64) {
	a.repeat()
	a.sender = sender
}

// repeat repeats the totals of the sender's series that had no delta for a push
// interval.
func (a *Appender) repeat() {
	d := &a.s.deltas
	if a.sender == 0 || d.count.Load() == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	all, ok := d.senders[a.sender]
	if !ok {
		return
	}
	left := all[:0]
	for _, one := range all {
		if one.series.repeatTotal(a, &one.idle) {
			left = append(left, one)
		}
	}
	clear(all[len(left):])
	if d.senders[a.sender] = left; len(left) == 0 {
		delete(d.senders, a.sender)
	}
	d.count.Store(int32(len(d.senders))) //nolint:gosec // each has a series
}

// addDelta notes that the sender pushes a.delta as deltas.
func (a *Appender) addDelta() {
	d := &a.s.deltas
	d.mu.Lock()
	defer d.mu.Unlock()
	d.senders[a.sender] = append(d.senders[a.sender], deltaSeries{series: a.delta})
	a.delta = nil
	d.count.Store(int32(len(d.senders))) //nolint:gosec // each has a series
}

// repeatTotal adds a sample with the last total if one is due. It returns false if
// the series no longer needs that: it ended or was freed, or has been idle for
// longer than any window.
//
// The sample is half an interval behind the sender: a delta of the same export may
// still come in another request, and must be newer.
func (s *Series) repeatTotal(a *Appender, idle *int64) bool {
	o := &a.s.opts
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.freed || s.ring.Len() == 0 || s.ring.Last().Stale() {
		s.flags &^= flagDelta
		return false
	}
	last := s.ring.Last()
	silence := a.now - s.arrivedLocked()
	interval := s.intervalLocked(o.Lookback.Milliseconds())
	switch {
	case 4*silence < 3*interval:
		if silence == 0 {
			*idle = 0
		}
		return true
	case *idle == 0:
		*idle = a.now
		silence -= interval / 2
	case a.now-*idle > o.MaxRetention.Milliseconds():
		s.flags &^= flagDelta
		return false
	}
	if silence <= 0 {
		return true
	}
	s.pushLocked(a, ring.Sample{T: last.T + silence, V: last.V, Hist: last.Hist}, a.now-s.retentionLocked(o))
	s.setArrivedLocked(a.now)
	a.touchLocked(s)
	return true
}
