package store

import (
	"time"
)

// sweepInterval bounds how late a watch hears that a series fell silent, and
// how long a series outlives its retention. KEDA ignores changes to inactive,
// so seconds are soon enough.
const sweepInterval = 5 * time.Second

// Sweep frees the series that have had no sample for the retention, tells the
// watches of those that fell silent, and learns the rhythm of each metric. Run
// calls it every few seconds.
func (s *Store) Sweep() {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	now := s.now()
	mint := now - s.opts.Retention.Milliseconds()
	lookback := s.opts.Lookback.Milliseconds()
	touched := map[*Watch]struct{}{}
	var idle, buf []*Series
	var learnt rhythm
	steps := s.clock.steps.Load()
	stepped := steps != s.sweptSteps
	s.sweptSteps = steps
	var seen counts
	for i := range s.stripes {
		buf = s.stripes.snapshot(i, buf[:0])
		for _, ser := range buf {
			ser.mu.Lock()
			seen.noteLocked(ser, now, lookback)
			if stepped {
				for _, w := range ser.watchesLocked() {
					touched[w] = struct{}{}
				}
			}
			switch {
			case ser.idleLocked(mint):
				idle = append(idle, ser)
			case !ser.silent && ser.ring.len() > 0 && !ser.ring.last().stale() && ser.overAtLocked(lookback) <= now:
				ser.silent = true
				for _, w := range ser.watchesLocked() {
					touched[w] = struct{}{}
				}
			default:
				learnt.noteLocked(ser)
			}
			ser.mu.Unlock()
		}
	}
	learnt.settle(touched)
	s.swept.set(seen)
	if len(idle) > 0 {
		s.free(idle, mint, touched)
	}
	tell(touched)
}

func tell(touched map[*Watch]struct{}) {
	for w := range touched {
		if w.mark() {
			w.changed()
		}
	}
}

func (s *Series) idleLocked(mint int64) bool {
	return s.ring.len() > 0 && s.ring.last().t < mint && s.arrivedLocked() < mint
}

func (s *Store) free(idle []*Series, mint int64, touched map[*Watch]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := map[*Kept]struct{}{}
	freed := idle[:0]
	for _, ser := range idle {
		ser.mu.Lock()
		gone := ser.idleLocked(mint) // it may have had a sample since
		ser.freed = gone
		ws := ser.watchesLocked()
		ser.mu.Unlock()
		if !gone {
			continue
		}
		for _, w := range ws {
			touched[w] = struct{}{}
			if w.kept != nil {
				kept[w.kept] = struct{}{}
			}
		}
		freed = append(freed, ser)
		s.stripes.remove(ser)
		if ser.name.series.Add(-1) == 0 {
			delete(s.names, ser.name.name)
			s.undescribeLocked(ser.name.name)
		}
	}
	s.count -= len(freed)
	s.refs.remove(freed)
	for k := range kept {
		k.forgetLocked()
	}
	s.index.remove(freed)
	s.metrics.freed.Add(float64(len(freed)))
}
