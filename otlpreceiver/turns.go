package otlpreceiver

import (
	"context"
	"runtime"
	"time"

	"google.golang.org/grpc/status"
)

// lateTurn is how long nobody waits for a turn unless requests queue.
const lateTurn = 2 * time.Millisecond

// turns has a place for each request that may be unpacked or decoded at a time:
// one a core. Without them a thousand decoders would each have their share of the
// cores before one call of KEDA's. They are the process', as gRPC's compressors
// are.
var turns = make(chan struct{}, runtime.GOMAXPROCS(0))

// takeTurn waits for a turn, which endTurn gives back.
func takeTurn(ctx context.Context) error {
	select {
	case turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

func endTurn() { <-turns }

// takeTurn tells whoever wants to know that the wait was long.
func (r *Receiver) takeTurn(ctx context.Context) error {
	select {
	case turns <- struct{}{}:
		return nil
	default:
	}
	began := r.now()
	err := takeTurn(ctx)
	if r.now().Sub(began) >= lateTurn {
		r.late()
	}
	return err
}
