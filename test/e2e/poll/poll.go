// Package poll waits for conditions in tests that watch other processes, whose
// time cannot be injected. It never waits longer than the condition takes, give
// or take one interval.
package poll

import (
	"context"
	"testing"
	"time"
)

// Interval is the pause between two attempts: short against everything the
// tests wait for, long against one attempt.
const Interval = 50 * time.Millisecond

// Until calls attempt until it returns nil and fails the test with attempt's
// last error when that takes longer than within.
func Until(t testing.TB, within time.Duration, attempt func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := wait(ctx, attempt); err != nil {
		t.Fatalf("not within %s: %v", within, err)
	}
}

// wait returns the last error of attempt that is not owed to ctx itself.
func wait(ctx context.Context, attempt func(context.Context) error) error {
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	var last error
	for {
		err := attempt(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-ticker.C:
		}
	}
}
