package httpapi

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/prometheus/prometheus/promql"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/limit"
)

// limiter lets so many requests work at a time and so many more wait.
type limiter struct {
	limit.Semaphore
	most    int64
	waiting atomic.Int64
}

func newLimiter(atATime, waiting int) *limiter {
	return &limiter{Semaphore: limit.NewSemaphore(atATime), most: int64(waiting)}
}

// enter waits until the request may work, which must Release then. The errors of a
// wait in vain are those of Prometheus' own queue.
func (l *limiter) enter(ctx context.Context) error {
	if l.TryAcquire() {
		return nil
	}
	defer l.waiting.Add(-1)
	if n := l.waiting.Add(1); n > l.most {
		return &apiError{unavailable, fmt.Errorf("%d requests are being answered and %d wait for their turn; try again later", cap(l.Semaphore), l.most)}
	}
	switch err := l.Acquire(ctx); {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return promql.ErrQueryTimeout("query queue")
	default:
		return promql.ErrQueryCanceled("query queue")
	}
}
