package scaler

import "time"

// leastHold is how long a reset holds without a warm-up: two of the longest push
// intervals that are usual, of 15 seconds.
const leastHold = 30 * time.Second

// start is since when the store has data, and whether senders may be missing that
// pushed before. It is never changed, but replaced by a reset. Its times are those of
// a clock that is never set (query.Engine.Steady): a clock that is set back must not
// bring the warm-up back.
type start struct {
	at        int64 // ms
	without   bool  // no snapshot: what was there before is unknown
	since     int64 // since when the data is complete that the store has, in ms
	warmUpEnd int64 // when all senders are back, in ms
	restored  int64 // up to when samples are from a snapshot, in ms; 0 if none was restored
}

func (s *Server) newStart(warmUp time.Duration) *start {
	ms := s.opts.Queries.Steady()
	return &start{at: ms, without: true, since: ms, warmUpEnd: ms + warmUp.Milliseconds()}
}

// warmUpUntil returns when the warm-up ends, by the clock as it is now.
func (s *Server) warmUpUntil(start *start) time.Time {
	return time.UnixMilli(start.warmUpEnd + s.opts.Queries.ClockShift())
}

// newSince returns from when on a series that appears is a new one, and not one of
// a sender that comes back.
func (s *start) newSince() int64 { return s.since + (s.warmUpEnd - s.at) }

// Reset calls empty, which is to remove all data. That is a start without a
// snapshot: every decision holds for the warm-up, 30 seconds at least.
func (s *Server) Reset(empty func()) {
	begin := func() { s.start.Store(s.newStart(max(s.opts.WarmUp, leastHold))) }
	begin() // before the first series goes
	empty()
	begin()
	for _, st := range s.triggers.Values() {
		st.last.Store(nil)
		s.evaluator.enqueue(st)
	}
	s.opts.Logger.Warn("a request removed all data; the scaler holds its decisions", "until", s.warmUpUntil(s.start.Load()).UTC().Format(time.RFC3339))
}

// Started returns when the process started, or was reset, for callers that must know
// whether data was removed meanwhile.
func (s *Server) Started() time.Time { return time.UnixMilli(s.start.Load().at) }
