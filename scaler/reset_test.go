package scaler

import (
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

const takenAway = "all data was taken away by a request"

// TestResetIsNoZero: neither an empty store nor the first idle pod that is back
// speaks for the busy ones.
func TestResetIsNoZero(t *testing.T) {
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
			for range 3 {
				r.push("a", 5)
				r.push("b", 0)
				r.wait(5 * time.Second)
			}
			r.require(kserve, 5, true)
			held := func() {
				t.Helper()
				r.requireHeld(kserve, takenAway)
				r.requireHeld(with(kserve, "onMissing", "zero"), takenAway)
				r.requireHeld(with(kserve, "metricQuery", "vector(0)"), takenAway)
				require.ErrorIs(t, r.server.HeldByReset(r.server.opts.Now()), ErrHeld)
				require.ErrorContains(t, r.server.Missing(t.Context(), query.Scope{}, "other"), takenAway)
			}
			r.server.Reset(func() {
				_, err := r.client.GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: ref(kserve)})
				require.ErrorContains(t, err, takenAway)
				active, err := r.client.IsActive(t.Context(), ref(kserve))
				require.NoError(t, err)
				require.True(t, active.GetResult(), "which takes nothing from anybody")
				r.store.Reset()
				held()
				r.wait(time.Minute) // it may take its time
			})
			held()
			r.push("b", 0)
			r.wait(tc.held - time.Millisecond)
			held()
			r.push("a", 7)
			r.push("b", 0)
			r.wait(time.Millisecond)
			r.require(kserve, 7, true)
			r.require(with(kserve, "metricQuery", "vector(0)"), 0, false)
			require.NoError(t, r.server.HeldByReset(r.server.opts.Now()))
		})
	}
}

// TestResetForgetsNoLoad: a busy model whose pods don't come back is held as if
// they had vanished.
func TestResetForgetsNoLoad(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 5)
	r.require(kserve, 5, true)
	r.server.Reset(r.store.Reset)
	r.wait(time.Hour)
	r.requireHeld(kserve, "there was load when it last did")
}

// TestResetWhileAnAnswerIsMade is not believed, although it was asked for before.
func TestResetWhileAnAnswerIsMade(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 0)
	q, err := r.server.lookup(t.Context(), ref(kserve), rpcMetrics)
	require.NoError(t, err)
	s := r.server.situation(t.Context(), q, r.server.opts.Now())
	require.NoError(t, decide(s).err)
	r.server.Reset(r.store.Reset)
	require.ErrorContains(t, decide(s).err, takenAway)
}

// TestStreamsThroughAReset say nothing of it, and go on after it.
func TestStreamsThroughAReset(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 5)
	s := r.stream(kserve)
	require.True(t, s.next())
	r.server.Reset(r.store.Reset)
	r.push("a", 0) // which is no news yet
	r.wait(leastHold)
	r.push("a", 5)
	r.wait(time.Second)
	r.push("a", 0)
	require.False(t, s.next(), "the first that is said")
	r.wait(time.Second)
	r.push("a", 5)
	require.True(t, s.next())
}
