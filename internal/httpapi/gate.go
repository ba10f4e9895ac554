package httpapi

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/prometheus/prometheus/promql"
)

// gate lets so many requests work at a time and so many more wait.
type gate struct {
	places  chan struct{}
	most    int64
	waiting atomic.Int64
}

func newGate(places, waiting int) *gate {
	return &gate{places: make(chan struct{}, places), most: int64(waiting)}
}

// enter takes a place, which leave gives back. The errors of a wait in vain are
// those of Prometheus' own queue.
func (g *gate) enter(ctx context.Context) error {
	select {
	case g.places <- struct{}{}:
		return nil
	default:
	}
	defer g.waiting.Add(-1)
	if n := g.waiting.Add(1); n > g.most {
		return &apiError{unavailable, fmt.Errorf("%d requests are being answered and %d wait for their turn; try again later", cap(g.places), g.most)}
	}
	select {
	case g.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return promql.ErrQueryTimeout("query queue")
		}
		return promql.ErrQueryCanceled("query queue")
	}
}

func (g *gate) leave() { <-g.places }
