package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/kedacore/keda/v2/pkg/scalers"
	v2 "k8s.io/api/autoscaling/v2"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
)

// activity records what a running push scaler of KEDA's was told.
type activity struct {
	scaler scalers.PushScaler
	cancel context.CancelFunc
	joined sync.WaitGroup

	mu       sync.Mutex // guards messages
	messages []bool
}

func newActivity(ctx context.Context, scaler scalers.PushScaler) *activity {
	ctx, cancel := context.WithCancel(ctx)
	a := &activity{scaler: scaler, cancel: cancel}
	messages := make(chan bool)
	a.joined.Go(func() { scaler.Run(ctx, messages) }) // closes messages
	a.joined.Go(func() {
		for active := range messages {
			a.mu.Lock()
			a.messages = append(a.messages, active)
			a.mu.Unlock()
		}
	})
	return a
}

func (a *activity) stop() {
	a.cancel()
	a.joined.Wait()
}

// seen returns every message so far.
func (a *activity) seen() []bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.messages)
}

// becomes waits until the last message is want.
func (a *activity) becomes(t *testing.T, want bool) {
	t.Helper()
	poll.Until(t, messageWithin, func(context.Context) error {
		if seen := a.seen(); len(seen) == 0 || seen[len(seen)-1] != want {
			return fmt.Errorf("messages %v, want the last to be %v", seen, want)
		}
		return nil
	})
}

// specs returns the metric specs that were streamed at open; false when the
// scaler does not stream any.
func (a *activity) specs(t *testing.T) ([]v2.MetricSpec, bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), messageWithin)
	defer cancel()
	streamer, ok := a.scaler.(scalers.MetricSpecStreamer)
	if !ok {
		t.Fatal("KEDA's push scaler does not stream metric specs")
	}
	select {
	case specs, open := <-streamer.MetricSpecChan():
		return specs, open
	case <-ctx.Done():
		t.Fatal("no metric specs on the stream")
		return nil, false
	}
}
