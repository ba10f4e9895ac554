package otlpreceiver

import (
	"context"
	"runtime"
	"time"

	"google.golang.org/grpc/status"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/limit"
)

// lateDecoding is how long no request waits for the semaphore unless requests queue.
const lateDecoding = 2 * time.Millisecond

// decoding bounds the requests that are unpacked or decoded at a time: one a core.
// Without it a thousand decoders would each have their share of the cores before one
// call of KEDA's. It is the process', as gRPC's compressors are.
var decoding = limit.NewSemaphore(runtime.GOMAXPROCS(0))

// acquireDecoding waits for the semaphore, and calls late if the wait was long.
func (r *Receiver) acquireDecoding(ctx context.Context) error {
	if decoding.TryAcquire() {
		return nil
	}
	began := r.now()
	err := decoding.Acquire(ctx)
	if r.now().Sub(began) >= lateDecoding {
		r.late()
	}
	if err != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return nil
}
