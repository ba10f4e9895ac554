package scaler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const waits = "the scaler waits until"

// TestResetIsAStartWithoutSnapshot: neither an empty store nor the first idle pod
// that is back counts for the busy ones. At least for 30 seconds.
func TestResetIsAStartWithoutSnapshot(t *testing.T) {
	for _, tc := range []struct {
		name   string
		warmUp time.Duration
		held   time.Duration
	}{
		{"without a warm-up", 0, 30 * time.Second},
		{"with a short one", time.Second, 30 * time.Second},
		{"with a long one", time.Minute, time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, Options{WarmUp: tc.warmUp})
			r.wait(time.Hour)
			r.pods(5, 0)
			r.require(kserve, 5, true)
			held := func() {
				t.Helper()
				r.requireHeld(kserve, waits)
				r.requireHeld(metricQuery("vector(0)"), waits)
				_, err := r.server.Answer(t.Context(), "", "sum(other)")
				require.ErrorIs(t, err, ErrHeld)
			}
			r.server.Reset(func() {
				r.require(kserve, 5, true) // nothing has changed yet
				r.push("0", 5)
				r.requireHeldActive(kserve, waits)
				r.store.Reset()
				held()
				r.wait(time.Minute) // it may take its time
			})
			held()
			r.require(with(kserve, "onMissing", "zero"), 0, false)
			r.push("1", 0)
			r.wait(tc.held - time.Millisecond)
			held()
			r.pushAll(7, 0)
			r.wait(time.Millisecond)
			r.require(kserve, 7, true)
			r.require(metricQuery("vector(0)"), 0, false)
		})
	}
}

// TestResetForgetsNoLoad: a busy model whose pods don't come back is held as if
// they had gone silent.
func TestResetForgetsNoLoad(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 5)
	r.require(kserve, 5, true)
	r.server.Reset(r.store.Reset)
	r.wait(time.Hour)
	r.requireHeld(kserve, "went silent under load")
}

// TestNeverSeenAfterAResetIsHeld: a start without snapshot counts as activity.
func TestNeverSeenAfterAResetIsHeld(t *testing.T) {
	r := newRig(t, Options{})
	r.require(kserve, 0, false)
	r.server.Reset(r.store.Reset)
	r.wait(time.Hour)
	r.requireHeld(kserve, "no series has matched since the scaler started without a snapshot")
	r.require(metricQuery("sum(other)"), 0, false) // of which KEDA asks only now
	r.push("a", 0)
	r.require(kserve, 0, false)
}

// TestResetWhileADecisionIsMade: the decision is dropped.
func TestResetWhileADecisionIsMade(t *testing.T) {
	gate := newGate(t)
	md := metricQuery("sum(vllm:num_requests_running) + 0 * test_gate(0)")
	r := gate.rig(Options{})
	r.push("a", 0)
	gate.at(1, func() error { r.server.Reset(r.store.Reset); return nil })
	r.requireHeld(md, waits)
}

// TestStreamsThroughAReset send nothing of it, and go on after it.
func TestStreamsThroughAReset(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 5)
	s := r.stream(kserve)
	require.True(t, s.next())
	r.server.Reset(r.store.Reset)
	r.tick()
	r.push("a", 0) // which changes nothing yet
	r.tick()
	r.wait(leastHold)
	r.push("a", 5)
	r.tick()
	r.wait(time.Second)
	r.push("a", 0)
	r.tick()
	require.False(t, s.next(), "the first that is sent")
	r.wait(time.Second)
	r.push("a", 5)
	r.tick()
	require.True(t, s.next())
}
