package scaler

import (
	"fmt"
	"sync/atomic"
	"time"
)

// leastHold is how long a reset holds without a warm-up: two of the longest push
// intervals that are usual, of 15 seconds.
const leastHold = 30 * time.Second

// reset says until when everything is held because all data was taken away.
type reset struct {
	until atomic.Pointer[time.Time] // nil before the first
}

// holds is to be asked after an evaluation, with when that began. Data that was
// taken away in the middle of it holds it then, too.
func (r *reset) holds(began time.Time) error {
	until := r.until.Load()
	if until == nil || !began.Before(*until) {
		return nil
	}
	return fmt.Errorf("%w: all data was taken away by a request (POST /memstore/reset); the senders have until %s to come back",
		ErrHeld, until.UTC().Format(time.RFC3339))
}

// Reset calls empty, which is to take all data away, and holds all answers while
// it does and for as long as a warm-up afterwards, 30 seconds at least. Unlike
// after a start, values are held as well: of busy and idle pods that come back
// one by one, an idle one may be the first.
func (s *Server) Reset(empty func()) {
	hold := func() {
		until := s.opts.Now().Add(max(s.opts.WarmUp, leastHold))
		s.reset.until.Store(&until)
	}
	hold() // before the first series goes
	empty()
	hold()
	s.opts.Logger.Warn("all data was taken away by a request; answers are held", "until", s.reset.until.Load().UTC().Format(time.RFC3339))
}

// HeldByReset tells why KEDA must not be told what the evaluation that began at a
// moment, and is over, came to; nil if it may. The error wraps ErrHeld.
func (s *Server) HeldByReset(began time.Time) error { return s.reset.holds(began) }
