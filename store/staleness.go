package store

import (
	"math"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

const (
	// missedPushes is how many of its own push intervals a series may miss before it
	// is silent.
	missedPushes = 3
	// minSilence is the shortest silence, in ms, that ends a series: senders that push
	// several times a second survive a pause of their node.
	minSilence = 10_000
)

// State is how a series stands.
type State int

var stateNames = [states]string{"gone", "live", "ended"}

// String returns the state as /metrics names it.
func (s State) String() string { return stateNames[s] }

// The states of a series.
const (
	Gone  State = iota // silent: it missed its pushes
	Live               // pushed in time
	Ended              // by its sender's staleness marker
	states
)

// Loss is about series that became silent with another value than zero, until they
// are freed. The zero Loss is none.
type Loss struct {
	Count       int
	First, Last int64 // when the first and the last of them were pushed last, in ms
}

// add adds a series that became silent with its last sample. One at zero adds no load.
func (l *Loss) add(last ring.Sample) {
	if addsLoad(last) {
		l.Merge(Loss{1, last.T, last.T})
	}
}

func addsLoad(last ring.Sample) bool { return last.Hist != nil || last.V != 0 }

// Merge adds the loss of another selector.
func (l *Loss) Merge(o Loss) {
	switch {
	case o.Count == 0:
	case l.Count == 0:
		*l = o
	default:
		*l = Loss{l.Count + o.Count, min(l.First, o.First), max(l.Last, o.Last)}
	}
}

// stateLocked returns the state of a series that has samples.
func (s *Series) stateLocked(now, lookback int64) State {
	last := s.ring.Last()
	switch {
	case last.Stale():
		return Ended
	case s.silentFromLocked(lookback) <= now || last.T <= now-lookback:
		return Gone
	default:
		return Live
	}
}

// lost returns when a series that became silent under load was pushed last.
func (s *Series) lost(now, lookback int64) (t int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ring.Len() == 0 || s.stateLocked(now, lookback) != Gone {
		return 0, false
	}
	last := s.ring.Last()
	return last.T, addsLoad(last)
}

// silentFromLocked returns from when on the series, which has samples, is silent if
// nothing more arrives. It depends on arrivals, not on sample times: a sender whose
// clock or queue lags by a minute is live while it pushes.
func (s *Series) silentFromLocked(lookback int64) int64 {
	return s.arrivedLocked() + s.patienceLocked(lookback)
}

// patienceLocked returns how long, in ms, nothing may arrive before the series is
// silent.
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

// learnIntervalLocked learns the push interval from the gap between two arrivals, of
// samples with times prev and t. The interval rises at once and falls by halves: an
// early end is a wrong result, a late end only a late one. After a gap in which the
// series was silent, which is more likely an outage than its new interval, the
// interval at most doubles; it reaches that of a slower sender in a few pushes.
func (s *Series) learnIntervalLocked(gap, t, prev, lookback int64, silent bool) {
	if gap <= 0 {
		return // the same request
	}
	// Requests from a sender's queue arrive at once, but their samples still show the
	// interval.
	gap = min(max(gap, t-prev), lookback)
	interval := int64(s.interval)
	if interval > 0 && silent {
		gap = min(gap, 2*interval)
	}
	s.interval = uint32(max(gap, (interval+gap)/2)) //nolint:gosec // bounded by the lookback
}

// idleLocked reports whether all samples, and their arrivals, are older than mint.
func (s *Series) idleLocked(mint int64) bool {
	return s.ring.Len() > 0 && s.ring.Last().T < mint && s.arrivedLocked() < mint
}

// setArrivedLocked sets when the newest sample arrived, in ms.
func (s *Series) setArrivedLocked(at int64) {
	s.lag = int32(min(max(at-s.ring.Last().T, math.MinInt32), math.MaxInt32)) //nolint:gosec // bounded right here
}
