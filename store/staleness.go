package store

import (
	"math"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

// minSilence is the shortest silence, in ms, after which a series is late: senders
// that push several times a second survive a pause of their node.
const minSilence = 2000

// State is how a series stands.
type State int

var stateNames = [states]string{"late", "live", "ended"}

// String returns the state as /metrics names it.
func (s State) String() string { return stateNames[s] }

// The states of a series.
const (
	Late  State = iota // it missed a push
	Live               // pushed in time
	Ended              // by its sender's staleness marker
	states
)

// addsLoad reports whether a sample says that there is load.
func addsLoad(in ring.Sample) bool { return in.Hist != nil || in.V != 0 }

// stateLocked returns the state of a series that has samples.
func (s *Series) stateLocked(now, lookback int64) State {
	last := s.ring.Last()
	switch {
	case last.Stale():
		return Ended
	case s.restored || s.silentFromLocked(lookback) <= now || last.T <= now-lookback:
		return Late
	default:
		return Live
	}
}

// state returns the state of the series; ok is false if it has no samples.
func (s *Series) state(now, lookback int64) (state State, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ring.Len() == 0 {
		return 0, false
	}
	return s.stateLocked(now, lookback), true
}

// silentFromLocked returns from when on the series, which has samples, is silent if
// nothing more arrives. It depends on arrivals, not on sample times: a sender whose
// clock or queue lags by a minute is live while it pushes.
func (s *Series) silentFromLocked(lookback int64) int64 {
	return s.arrivedLocked() + s.patienceLocked(lookback)
}

// patienceLocked returns how long, in ms, nothing may arrive before the series is
// late: one and a half of its push intervals.
func (s *Series) patienceLocked(lookback int64) int64 {
	interval := s.intervalLocked(lookback)
	return min(max(interval+interval/2, minSilence), lookback)
}

// intervalLocked returns the push interval, in ms: the series' own, or the longest
// of its metric, or what the caller says if neither is known.
func (s *Series) intervalLocked(unknown int64) int64 {
	switch {
	case s.interval > 0:
		return int64(s.interval)
	case s.name.interval.Load() > 0:
		return int64(s.name.interval.Load())
	}
	return unknown
}

// learnIntervalLocked learns the push interval from the gap between two arrivals, of
// samples with times prev and t. It is a moving average. One gap in which the series
// was late is a missed push, and one short gap is an extra push; two in a row are
// another interval. So two senders of one series do not make it late.
func (s *Series) learnIntervalLocked(gap, t, prev, lookback int64) {
	if gap <= 0 {
		return // the same request
	}
	// Requests from a sender's queue arrive at once, but their samples still show the
	// interval.
	gap = min(max(gap, t-prev), lookback)
	interval := int64(s.interval)
	before := s.flags
	s.flags &^= flagMissed | flagExtra
	switch {
	case interval == 0, 4*gap <= 3*interval && before&flagExtra != 0:
		interval = gap
	case 4*gap <= 3*interval:
		s.flags |= flagExtra
	case 2*gap > 3*interval:
		s.flags |= flagMissed
		if before&flagMissed != 0 {
			interval = min(gap, 2*interval)
		}
	default:
		interval = (3*interval + gap) / 4
	}
	s.interval = uint32(interval) //nolint:gosec // bounded by the lookback
}

// retentionLocked returns how long the series' samples are stored, in ms: for the
// longest window of a selection, with room for two pushes before it.
func (s *Series) retentionLocked(o *Options) int64 {
	r := o.Retention.Milliseconds()
	for _, sel := range s.selectionsLocked() {
		if w := min(sel.window, o.MaxRetention).Milliseconds(); w > r-windowMargin {
			r = max(r, w+windowMargin+2*int64(s.interval))
		}
	}
	return r
}

// windowMargin is for how much longer than a selection's window samples are stored,
// in ms.
const windowMargin = 30_000

// idleLocked reports whether all samples, and their arrivals, are older than they are
// stored, or there are none: an append that has just created the series creates it again.
// A series stays for as long again as it may be silent without being late:
// readers look back to when it was live, from one retention ago.
func (s *Series) idleLocked(o *Options, now int64) bool {
	mint := now - s.retentionLocked(o) - 3*s.intervalLocked(0)/2
	return s.ring.Len() == 0 || s.ring.Last().T < mint && s.arrivedLocked() < mint
}

// arrivedLocked returns when the newest sample arrived, in ms; there must be one.
func (s *Series) arrivedLocked() int64 {
	return s.ring.Time(s.ring.Len()-1) + int64(s.lag)
}

// setArrivedLocked sets when the newest sample arrived, in ms.
func (s *Series) setArrivedLocked(at int64) {
	lag := at - s.ring.Time(s.ring.Len()-1)
	s.lag = int32(min(max(lag, math.MinInt32), math.MaxInt32)) //nolint:gosec // bounded right here
}
