package scaler_test

import (
	"context"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// maxRetention is how long a window may be.
const maxRetention = 15 * time.Minute

func newQueries(samples *store.Store) (*query.Engine, error) {
	return query.New(query.Options{Store: samples, Retention: retention, MaxRetention: maxRetention})
}

// tick evaluates what is dirty or due, as the evaluator does each second.
func tick(ctx context.Context, s *scaler.Server) { s.Tick(ctx) }

func restoreSamples(samples *store.Store, taken time.Time, next func() ([]byte, error)) error {
	_, err := samples.Restore(taken, next)
	return err
}

func restoreTriggers(server *scaler.Server, taken time.Time, blocks [][]byte) error {
	for _, b := range blocks {
		if err := server.Restore(b); err != nil {
			return err
		}
	}
	server.Restored(taken, 0)
	return nil
}
