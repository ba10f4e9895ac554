package scaler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// TestMissingForThoseWithoutATrigger goes through what an empty result may mean to
// KEDA's prometheus trigger, of which nothing is remembered.
func TestMissingForThoseWithoutATrigger(t *testing.T) {
	const text = "sum(vllm:num_requests_running)"
	missing := func(r *rig) error { return r.server.Missing(t.Context(), query.Scope{}, text) }

	r := newRig(t, Options{WarmUp: 30 * time.Second})
	require.ErrorIs(t, missing(r), ErrHeld, "just started")
	r.wait(time.Minute)
	require.NoError(t, missing(r), "nothing has started yet")
	r.push("a", 3)
	require.ErrorContains(t, missing(r), "is 3 a moment later")
	r.wait(5 * time.Second)
	r.push("a", 3)
	r.wait(16 * time.Second)
	require.ErrorIs(t, missing(r), ErrHeld)
	require.ErrorContains(t, missing(r), "the value was 3 then")
	r.push("a", 0)
	r.wait(time.Minute)
	require.NoError(t, missing(r), "it went silent when idle")
	r.push("a", 4)
	r.wait(time.Second)
	r.end("a")
	require.NoError(t, missing(r), "it has ended")
	require.Error(t, r.server.Missing(t.Context(), query.Scope{}, "sum("))

	r = newRig(t, Options{Missing: Missing{Policy: Zero}})
	require.NoError(t, missing(r), "the operator says zero")
}
