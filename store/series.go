package store

import (
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/labelindex"
	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

// Series is one label set with its samples. It takes 112 bytes; there may be a million,
// so its fields are small.
type Series struct {
	name  *metricName
	entry labelindex.Entry

	mu       sync.Mutex // guards what follows
	ring     ring.Ring
	lag      int32         // how long after its own time, in ms, the newest sample arrived
	interval uint32        // push interval in ms; 0 while unknown
	ahead    uint32        // how far, in ms, the newest sample's own time was in the future
	freed    bool          // removed from the store; an append must look the series up again
	silent   bool          // the sweep has notified the selections of its silence
	restored bool          // nothing has arrived since the restore from a snapshot
	flags    uint8         // see the constants
	watched  *[]*Selection // nil if there are none; replaced, never changed in place
}

const (
	flagBegun   = 1 << iota // the ring has the series from its beginning on
	flagEarlier             // the series began before the ring's oldest sample
	flagDelta               // deltas has the series
	flagMissed              // the last push was late
	flagExtra               // the last push was early
)

func (s *Series) selectionsLocked() []*Selection {
	if s.watched == nil {
		return nil
	}
	return *s.watched
}

func (s *Series) setSelectionsLocked(all []*Selection) {
	s.watched = nil
	if len(all) > 0 {
		s.watched = &all
	}
}

// attach adds a selection, unless the series has it already or is freed.
func (s *Series) attach(sel *Selection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.selectionsLocked()
	if !s.freed && !slices.Contains(all, sel) {
		s.setSelectionsLocked(append(all[:len(all):len(all)], sel))
	}
}

// detach removes a selection, if the series has it.
func (s *Series) detach(sel *Selection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all := s.selectionsLocked(); slices.Contains(all, sel) {
		s.setSelectionsLocked(slices.DeleteFunc(slices.Clone(all), func(o *Selection) bool { return o == sel }))
	}
}

// Freed reports whether the series was removed from its store.
func (s *Series) Freed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.freed
}

// pushLocked adds a newer sample.
func (s *Series) pushLocked(a *Appender, in ring.Sample, mint int64) {
	n := s.ring.Len()
	if s.ring.Push(in, mint, a.s.opts.MaxSamplesPerSeries) {
		a.evicted++
	}
	if s.ring.Len() <= n {
		s.flags = s.flags&^flagBegun | flagEarlier // the oldest was dropped
	}
}

// appendLocked stores one sample, and reports the outcome. A sample from the future has
// the time of its arrival; ahead is how far it was moved. start is when the counter was
// zero, or 0.
func (s *Series) appendLocked(a *Appender, in ring.Sample, ahead uint32, start int64) Outcome {
	o := &a.s.opts
	mint := a.now - s.retentionLocked(o)
	if s.ring.Len() == 0 {
		s.startLocked(a, start, in, mint)
		return s.newestLocked(a, in, ahead, nil, mint)
	}
	last := s.ring.Last()
	if s.repeatsLocked(in.T, ahead) {
		return Duplicate
	}
	if in.T == last.T && in.Stale() {
		in.T++ // the series ended with this sample; both are stored
	}
	switch {
	case in.T < last.T:
		if !s.ring.Insert(in, mint, o.MaxSamplesPerSeries) {
			return Duplicate
		}
		s.ring.ClearResetHint(s.ring.Search(in.T) + 1)
		return OutOfOrder
	case in.T == last.T && ahead > 0:
		// Both were moved to the time of their arrival; the later one is newer.
		s.ahead = ahead
		s.ring.Set(s.ring.Len()-1, in)
		return Future
	case in.T == last.T, in.Stale() && last.Stale():
		return Duplicate
	}
	arrived := last.T + int64(s.lag)
	lookback := o.Lookback.Milliseconds()
	silentFrom := max(arrived+s.patienceLocked(lookback), last.T+1)
	switch {
	case s.restored:
		s.restored = false // the gap is our own
		if in.Stale() {    // and the last value stays, with the arrival that the restore has moved
			in.T = min(in.T, max(a.now-int64(s.lag), last.T+1))
			mint = min(mint, last.T)
		}
	case !in.Stale() && !last.Stale(): // a marker comes when its series ends
		s.learnIntervalLocked(a.now-arrived, in.T, last.T, lookback)
	}
	if silentFrom < in.T && silentFrom <= a.now && !last.Stale() {
		if start > last.T && start < silentFrom {
			s.startLocked(a, start, in, mint)
		}
		// The series was silent in between: later reads return what reads returned then.
		s.pushLocked(a, ring.Sample{T: silentFrom, V: ring.StaleNaN}, mint)
		last.T = silentFrom
	}
	if start > last.T {
		s.startLocked(a, start, in, mint)
	}
	return s.newestLocked(a, in, ahead, last.Hist, mint)
}

// newestLocked adds the newest sample. The histogram before it is prev, or nil.
func (s *Series) newestLocked(a *Appender, in ring.Sample, ahead uint32, prev *histogram.FloatHistogram, mint int64) Outcome {
	s.ahead = ahead
	if in.Hist != nil {
		in.Hist = ring.WithResetHint(prev, in.Hist)
	}
	s.pushLocked(a, in, mint)
	s.setArrivedLocked(a.now)
	if ahead > 0 {
		return Future
	}
	return Stored
}

// startLocked adds a zero at the start time of a counter, which must be after all
// samples: so rate() and increase() include what was counted before the first sample,
// and detect a restart that the value does not show.
func (s *Series) startLocked(a *Appender, start int64, in ring.Sample, mint int64) {
	if start == 0 || start < mint || start >= in.T || in.Stale() {
		return
	}
	zero := ring.Sample{T: start}
	if h := in.Hist; h != nil {
		zero.Hist = &histogram.FloatHistogram{
			CounterResetHint: histogram.CounterReset,
			Schema:           h.Schema, ZeroThreshold: h.ZeroThreshold, CustomValues: h.CustomValues,
		}
	}
	s.pushLocked(a, zero, mint)
}

// repeatsLocked reports whether a sample that was moved to t is the newest one, sent
// again: its own time is the same.
func (s *Series) repeatsLocked(t int64, ahead uint32) bool {
	return ahead > 0 && s.ahead > 0 && t+int64(ahead) == s.ring.Last().T+int64(s.ahead)
}

// addLocked turns a delta into the running total to be stored; ok is false if the
// delta may have been counted: it is not newer than the newest sample, or began before
// the oldest. The total ignores a gap before a delta, and an overlap with the one
// before.
func (s *Series) addLocked(in ring.Sample, ahead uint32, start int64) (ring.Sample, bool) {
	if s.ring.Len() == 0 {
		return in, true
	}
	if last := s.ring.Last(); in.T < last.T || in.T == last.T && ahead == 0 || s.repeatsLocked(in.T, ahead) {
		return in, false
	}
	if start != 0 && start < s.ring.Time(0) {
		return in, false
	}
	prev, ok := s.ring.LastValue()
	switch {
	case !ok || (prev.Hist == nil) != (in.Hist == nil):
	case in.Hist == nil:
		in.V += prev.V
	default:
		in.Hist = addHistograms(prev.Hist, in.Hist)
	}
	return in, true
}

// addHistograms returns prev + delta, or delta alone if their buckets' layouts do not
// fit: rate() handles that as a reset.
func addHistograms(prev, delta *histogram.FloatHistogram) *histogram.FloatHistogram {
	sum, _, _, err := prev.Copy().Add(delta)
	if err != nil {
		return delta
	}
	sum.CounterResetHint = histogram.UnknownCounterReset
	return sum.Compact(0)
}
