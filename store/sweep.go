package store

import (
	"math"
	"slices"
	"time"
)

// sweepInterval bounds how late a selection is notified of silence, and how long a
// series outlives its retention. KEDA ignores a change to inactive, so seconds are
// soon enough.
const sweepInterval = 5 * time.Second

// resetParts is how many times a reset locks the store.
const resetParts = 64

// sweep is one pass over all series.
type sweep struct {
	opts          *Options
	now, lookback int64
	stepped       bool // the clock was set since the last sweep
	touched       touched
	idle          []*Series
	stats         seriesStats

	names []*metricName // those with a longest interval
	fresh []*Series     // selected series whose push interval is unknown
}

// seriesStats are the counts of a sweep.
type seriesStats struct {
	states  Presence
	largest int32 // series of the metric name that has most
}

// Sweep frees the series that have had no sample for the retention, notifies the
// selections of those that became silent, and learns the push interval of each metric.
// Run calls it every few seconds.
func (s *Store) Sweep() {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	now := s.now()
	w := sweep{
		opts: &s.opts, now: now, lookback: s.opts.Lookback.Milliseconds(),
		touched: touched{},
	}
	steps := s.clock.steps.Load()
	w.stepped, s.sweptSteps = steps != s.sweptSteps, steps
	for ser := range s.index.All {
		w.look(ser)
	}
	w.setIntervals()
	s.swept.Store(&w.stats)
	if len(w.idle) > 0 {
		s.free(w.idle, now, w.touched)
	}
	w.touched.notify()
}

func (w *sweep) look(ser *Series) {
	ser.mu.Lock()
	defer ser.mu.Unlock()
	w.stats.largest = max(w.stats.largest, ser.name.series.Load())
	if ser.ring.Len() > 0 {
		w.stats.states[ser.stateLocked(w.now, w.lookback)]++
	}
	if w.stepped {
		w.touched.add(ser.selectionsLocked())
	}
	switch mn := ser.name; {
	case ser.idleLocked(w.opts, w.now):
		w.idle = append(w.idle, ser)
	case !ser.silent && ser.ring.Len() > 0 && !ser.ring.Last().Stale() && ser.silentFromLocked(w.lookback) <= w.now:
		ser.silent = true
		w.touched.add(ser.selectionsLocked())
	case ser.interval == 0 && ser.watched != nil:
		w.fresh = append(w.fresh, ser)
	case ser.interval > mn.longest && !ser.silent:
		if mn.longest == 0 {
			w.names = append(w.names, mn)
		}
		mn.longest = ser.interval
	}
}

// setIntervals makes the longest push intervals those of the metrics. Series that use
// them, because their own is unknown, end at another time then.
func (w *sweep) setIntervals() {
	changed := map[*metricName]struct{}{}
	for _, mn := range w.names {
		if mn.interval.Swap(mn.longest) != mn.longest {
			changed[mn] = struct{}{}
		}
		mn.longest = 0
	}
	for _, ser := range w.fresh {
		if _, ok := changed[ser.name]; !ok {
			continue
		}
		ser.mu.Lock()
		ser.silent = false // its end may be in the future again
		w.touched.add(ser.selectionsLocked())
		ser.mu.Unlock()
	}
}

// free removes those of the series that are still idle at a moment (ms).
func (s *Store) free(idle []*Series, now int64, t touched) {
	s.mu.Lock()
	defer s.mu.Unlock()
	freed := idle[:0]
	for _, ser := range idle {
		ser.mu.Lock()
		ser.freed = ser.idleLocked(&s.opts, now) // it may have had a sample since
		is, selections := ser.freed, ser.selectionsLocked()
		ser.mu.Unlock()
		if !is {
			continue
		}
		for _, sel := range selections {
			sel.clearLocked()
		}
		t.add(selections)
		freed = append(freed, ser)
		if ser.name.series.Add(-1) == 0 {
			delete(s.names, ser.name.name)
			s.undescribeLocked(ser.name.name)
		}
	}
	s.count.Add(-int64(len(freed)))
	s.index.Remove(freed)
	s.metrics.freed.Add(float64(len(freed)))
}

// Reset frees all series, as if each had been silent for the retention. Pushes go on
// meanwhile; a sample is stored or not, depending on whether it comes before or after.
func (s *Store) Reset() {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	t := touched{}
	all := slices.Collect(s.index.All)
	for some := range slices.Chunk(all, len(all)/resetParts+1) { // no push waits for all
		s.free(some, math.MaxInt64/2, t)
	}
	s.swept.Store(&seriesStats{})
	t.notify()
}
