package otlpreceiver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// leastHeld is what a request counts at least, in bytes: the goroutine, stream
	// and frame of one that has only begun.
	leastHeld = 16 << 10
	// retryDelay is the mean of what a refused sender is told to wait. Each is told
	// another time up to half of it off, or all would come back at once.
	retryDelay = time.Second
	// retryAfter is the same for HTTP, which has whole seconds only.
	retryAfter = "1"
)

// intake bounds the bytes that are held for requests before they are stored.
type intake struct {
	most  int64       // bytes
	tight func() bool // memory is short

	held atomic.Int64 // bytes
}

// refusedFor is why a request is refused, as /metrics names it.
type refusedFor uint8

const (
	inFlight refusedFor = iota // too many bytes are held already
	memory                     // the process is close to its memory limit
	refusedFors
)

var refusedForNames = [refusedFors]string{"in_flight", "memory"}

// busy are the errors for senders over gRPC. A Collector drops a request that was
// answered ResourceExhausted unless RetryInfo says when it may come again.
var busy = func() (all [refusedFors][16]error) {
	why := [refusedFors]string{
		inFlight: "the scaler holds as many bytes of requests as it may (--max-inflight-bytes)",
		memory:   "the scaler is close to its memory limit (GOMEMLIMIT)",
	}
	for reason := range all {
		for i := range all[reason] {
			delay := retryDelay/2 + retryDelay*time.Duration(i)/time.Duration(len(all[reason])-1)
			s, err := status.New(codes.ResourceExhausted, why[reason]+"; send again in a moment").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
			if err != nil {
				panic(fmt.Sprintf("a RetryInfo can't be encoded: %v", err))
			}
			all[reason][i] = s.Err()
		}
	}
	return all
}()

// busyError is for both transports: gRPC sends the status, HTTP the code.
func busyError(why refusedFor) error {
	return busy[why][rand.IntN(len(busy[why]))] //nolint:gosec // only to spread them
}

// share is what one request holds of an intake.
type share struct {
	of *intake
	n  int64
}

// admit gives a request its share, or refuses it; the share must be given back.
func (in *intake) admit() (share, refusedFor, bool) {
	if in.tight() {
		return share{}, memory, false
	}
	s := share{of: in}
	return s, inFlight, s.grow(leastHeld)
}

// full tells whether admit would refuse, and why.
func (in *intake) full() (refusedFor, bool) {
	if in.tight() {
		return memory, true
	}
	held := in.held.Load()
	return inFlight, held > 0 && held+leastHeld > in.most
}

// Tap is for a server's grpc.InTapHandle. It refuses by the headers what would be
// refused a moment later: without it each of 25,000 streams that somebody opens
// gets a goroutine to be refused by, and KEDA's calls wait for a second.
func (r *Receiver) Tap(ctx context.Context, _ *tap.Info) (context.Context, error) {
	if why, full := r.intake.full(); full {
		return nil, r.refuse(ctx, viaGRPC, why)
	}
	return ctx, nil
}

// grow makes it a share of so many bytes, and tells whether there is room. It
// never makes it smaller. A request that is alone always has room: it may be as
// large as another limit says.
func (s *share) grow(to int) bool {
	more := int64(to) - s.n
	if more <= 0 {
		return true
	}
	if held := s.of.held.Add(more); held > s.of.most && held > s.n+more {
		s.of.held.Add(-more)
		return false
	}
	s.n += more
	return true
}

// free gives the share back.
func (s *share) free() {
	s.of.held.Add(-s.n)
	s.n = 0
}

// MaxHeldBytes returns the most bytes that are held for them.
func (r *Receiver) MaxHeldBytes() int { return int(r.intake.most) }

// HeldBytes returns how many bytes are held for requests that are not stored yet.
func (r *Receiver) HeldBytes() int { return int(r.intake.held.Load()) }
