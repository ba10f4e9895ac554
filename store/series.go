package store

import (
	"math"
	"sync"

	"github.com/prometheus/prometheus/model/histogram"
)

const (
	// missedPushes is how many of its own push intervals a series may miss
	// before it counts as over.
	missedPushes = 3
	// minSilence is the shortest silence, in ms, that ends a series, so that
	// sub-second pushers survive a pause of their node.
	minSilence = 10_000
)

// Series is one label set with its samples. It takes 112 bytes, which a million
// times over is why its fields are as small as they are.
type Series struct {
	name *metricName
	set  labelSet
	hash uint32
	ref  ref // guarded by Store.mu

	mu       sync.Mutex // guards what follows
	ring     ring
	lag      int32     // how long after its own time, in ms, the newest sample arrived
	interval uint32    // push interval in ms as seen so far; 0 while unknown
	ahead    uint32    // how far, in ms, the newest sample's own time lay in the future
	freed    bool      // taken out of the store; an append must look the series up again
	silent   bool      // the sweeper has told the watches that it fell silent
	restored bool      // nothing has arrived since it was restored from a snapshot
	watched  *[]*Watch // nil if nobody watches; replaced, never changed in place
}

func (s *Series) watchesLocked() []*Watch {
	if s.watched == nil {
		return nil
	}
	return *s.watched
}

func (s *Series) setWatchesLocked(ws []*Watch) {
	s.watched = nil
	if len(ws) > 0 {
		s.watched = &ws
	}
}

// Freed tells whether the series was taken out of its store.
func (s *Series) Freed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.freed
}

// arrivedLocked returns when the newest sample arrived, in ms; there must be one.
func (s *Series) arrivedLocked() int64 { return s.ring.last().t + int64(s.lag) }

// pushLocked puts a newer sample, which arrived at that time, into the ring.
func (s *Series) pushLocked(in sample, arrived int64, mint int64, limit int) (evicted bool) {
	s.lag = int32(min(arrived-in.t, math.MaxInt32)) //nolint:gosec // not negative but for the ms by which a marker may be moved
	return s.ring.push(in, mint, limit)
}

// overAtLocked returns when the series, which has samples, counts as over if
// nothing more arrives.
// It goes by arrival, not by sample time: a sender whose clock or queue lags
// by a minute is alive as long as it pushes.
func (s *Series) overAtLocked(lookback int64) int64 {
	return s.arrivedLocked() + s.patienceLocked(lookback)
}

// patienceLocked returns how long, in ms, the series may be silent.
func (s *Series) patienceLocked(lookback int64) int64 {
	interval := s.interval
	if interval == 0 {
		interval = s.name.interval.Load()
	}
	if interval == 0 {
		return lookback
	}
	return min(max(missedPushes*int64(interval), minSilence), lookback)
}

// learnLocked learns the interval from the gap between two arrivals, of samples
// with times prev and t. The interval rises at once and falls by halves: an
// early end is a wrong answer, a late one only a late one. A gap so long that
// the series was over is more likely an outage than its new rhythm, so the
// interval at most doubles then; a sender that did slow down is caught up with
// in a few pushes.
func (s *Series) learnLocked(gap, t, prev, lookback int64, over bool) {
	if gap <= 0 {
		return // the same request; says nothing about when the next one comes
	}
	// Requests that a sender had queued arrive at once, but their samples still
	// show the rhythm.
	gap = min(max(gap, t-prev), lookback)
	interval := int64(s.interval)
	if interval > 0 && over {
		gap = min(gap, 2*interval)
	}
	s.interval = uint32(max(gap, (interval+gap)/2)) //nolint:gosec // bounded by the lookback
}

// appendLocked stores one sample and says what became of it. A sample from the
// future comes with the time of its arrival; ahead is by how much it was moved.
// start is when the counter was zero, or 0.
func (s *Series) appendLocked(o *Options, now int64, in sample, ahead uint32, start int64) (Outcome, bool) {
	mint := now - o.Retention.Milliseconds()
	lookback := o.Lookback.Milliseconds()
	limit := o.MaxSamplesPerSeries
	if s.ring.len() == 0 {
		s.ahead = ahead
		s.startLocked(start, in, mint, limit)
		if in.hist != nil {
			in.hist = hinted(nil, in.hist)
		}
		return outcomeOf(ahead), s.pushLocked(in, now, mint, limit)
	}
	last := s.ring.last()
	if s.repeatsLocked(in.t, ahead) {
		return Duplicate, false
	}
	if in.t == last.t && in.stale() {
		in.t++ // the series ended with this sample; both are kept
	}
	switch {
	case in.t > last.t:
		if in.stale() && last.stale() {
			return Duplicate, false
		}
		arrived := last.t + int64(s.lag)
		over := arrived + s.patienceLocked(lookback)
		if s.restored {
			s.restored = false // the gap is our own
		} else {
			s.learnLocked(now-arrived, in.t, last.t, lookback, over <= now)
		}
		var evicted bool
		over = max(over, last.t+1)
		marked := over < in.t && over <= now && !last.stale()
		if marked && start > last.t && start < over {
			evicted = s.startLocked(start, in, mint, limit)
		}
		if marked {
			// The series was over in between: keep for later what was said then.
			evicted = s.ring.push(sample{t: over, v: staleNaN}, mint, limit) || evicted
			last.t = over
		}
		if start > last.t {
			evicted = s.startLocked(start, in, mint, limit) || evicted
		}
		s.ahead = ahead
		if in.hist != nil {
			in.hist = hinted(last.hist, in.hist)
		}
		return outcomeOf(ahead), s.pushLocked(in, now, mint, limit) || evicted
	case in.t == last.t && ahead > 0:
		// Both were moved to the time of their arrival; the later one is newer.
		s.ahead = ahead
		s.ring.set(s.ring.len()-1, in)
		return Future, false
	case in.t == last.t:
		return Duplicate, false
	default:
		if !s.ring.insert(in, mint, limit) {
			return Duplicate, false
		}
		s.unhintLocked(s.ring.search(in.t) + 1)
		return Late, false
	}
}

// startLocked puts a zero where a counter says that it began, which must be after
// all there is: then rate() and increase() count what came before in, and see a
// restart that its value doesn't show.
func (s *Series) startLocked(start int64, in sample, mint int64, limit int) (evicted bool) {
	if start == 0 || start < mint || start >= in.t || in.stale() {
		return false
	}
	zero := sample{t: start}
	if h := in.hist; h != nil {
		zero.hist = &histogram.FloatHistogram{
			CounterResetHint: histogram.CounterReset,
			Schema:           h.Schema, ZeroThreshold: h.ZeroThreshold, CustomValues: h.CustomValues,
		}
	}
	return s.ring.push(zero, mint, limit)
}

// repeatsLocked tells whether a sample that was moved to t is the newest one
// sent once more: its own time is the same.
func (s *Series) repeatsLocked(t int64, ahead uint32) bool {
	return ahead > 0 && s.ahead > 0 && t+int64(ahead) == s.ring.last().t+int64(s.ahead)
}

func outcomeOf(ahead uint32) Outcome {
	if ahead > 0 {
		return Future
	}
	return Stored
}

// addLocked turns a delta into the running total to be stored. Deltas that are
// not newer than the newest sample can no longer be told apart from ones that
// were counted already, and one that began before all that is held overlaps all
// of it. A gap before a delta, or an overlap with the one before, is none of the
// total's business.
func (s *Series) addLocked(in sample, ahead uint32, start int64) (sample, bool) {
	if s.ring.len() == 0 {
		return in, true
	}
	if last := s.ring.last(); in.t < last.t || in.t == last.t && ahead == 0 || s.repeatsLocked(in.t, ahead) {
		return in, false
	}
	if start != 0 && start < s.ring.time(0) {
		return in, false
	}
	prev, ok := s.ring.lastValue()
	switch {
	case !ok || (prev.hist == nil) != (in.hist == nil):
	case in.hist == nil:
		in.v += prev.v
	default:
		in.hist = addHistograms(prev.hist, in.hist)
	}
	return in, true
}

// addHistograms returns prev + delta, or delta alone where the two can't be
// added (the buckets' layout changed): a reset, which rate() understands.
func addHistograms(prev, delta *histogram.FloatHistogram) *histogram.FloatHistogram {
	sum, _, _, err := prev.Copy().Add(delta)
	if err != nil {
		return delta
	}
	sum.CounterResetHint = histogram.UnknownCounterReset
	return sum.Compact(0)
}
