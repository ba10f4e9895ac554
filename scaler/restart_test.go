package scaler

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

const warmUp = 30 * time.Second

// restarted is a rig that was down for so long and has restored what r was when it
// died.
func restarted(r *rig, down time.Duration) *rig {
	r.t.Helper()
	var series, triggers [][]byte
	keep := func(to *[][]byte) func([]byte) error {
		return func(b []byte) error { *to = append(*to, bytes.Clone(b)); return nil }
	}
	require.NoError(r.t, r.store.Snapshot(keep(&series)))
	require.NoError(r.t, r.server.Snapshot(keep(&triggers)))
	taken := time.UnixMilli(r.ms.Load())

	n := newRig(r.t, Options{WarmUp: warmUp})
	n.ms.Store(r.ms.Load() + down.Milliseconds())
	n.server.started = n.server.opts.Now()
	_, err := n.store.Restore(taken, warmUp, func() ([]byte, error) {
		if len(series) == 0 {
			return nil, io.EOF
		}
		b := series[0]
		series = series[1:]
		return b, nil
	})
	require.NoError(r.t, err)
	for _, b := range triggers {
		_, err := n.server.Recall(b)
		require.NoError(r.t, err)
	}
	n.server.Restored(taken, 0)
	return n
}

// TestRestoredValuesAreThereAtOnce, never less than they were, whoever comes back
// first; and who does not come back is lost like others.
func TestRestoredValuesAreThereAtOnce(t *testing.T) {
	for name, queries := range map[string]map[string]string{
		"from the rings": kserve,
		"by the engine":  with(kserve, "metricQuery", `sum(vllm:num_requests_running) + 0 * count(vllm:num_requests_running)`),
		"over time":      with(kserve, "operationOverTime", "max"),
	} {
		for _, down := range []time.Duration{0, 3 * time.Second, time.Minute, 110 * time.Second} {
			t.Run(fmt.Sprint(name, down), func(t *testing.T) {
				r := newRig(t, Options{})
				r.pods(3, 3, 3, 3)
				r.require(queries, 12, true)
				r = restarted(r, down)
				r.require(queries, 12, true)
				r.goOn(10*time.Second, 3, 1)
				r.require(queries, 12, true)
				r.goOn(5*time.Second, 9, 9)
				v, active, err := r.poll(queries)
				require.NoError(t, err)
				require.GreaterOrEqual(t, v, 18.0, "more is told at once")
				require.True(t, active)
				r.goOn(15*time.Second, 3, 3) // the warm-up is over
				v, active, err = r.poll(queries)
				require.NoError(t, err)
				require.GreaterOrEqual(t, v, 12.0, "as long as the lost ones are remembered")
				require.True(t, active)
				r.goOn(3*time.Minute, 3, 3)
				r.require(queries, 6, true)
			})
		}
	}
}

// TestRestoredLoadThatEnds is told when all had the time to say so.
func TestRestoredLoadThatEnds(t *testing.T) {
	r := newRig(t, Options{})
	r.pods(3, 3)
	r.require(kserve, 6, true)
	r = restarted(r, 5*time.Second)
	r.pushAll(1, 0)
	r.wait(time.Second)
	r.end("1")
	r.require(kserve, 6, true)
	r.goOn(30*time.Second, 1)
	r.require(kserve, 1, true)
	r.wait(time.Second)
	r.end("0")
	r.require(kserve, 0, false)
}

// TestRestoredRateHasItsGap: a window with too few samples since the downtime is
// answered with what it was before, and with the real rate as soon as there is one.
func TestRestoredRateHasItsGap(t *testing.T) {
	rate := with(kserve, "metricQuery", `sum(rate(vllm:num_requests_running[20s]))`)
	r := newRig(t, Options{})
	total := 0.0
	on := func(pods ...string) {
		r.wait(5 * time.Second)
		total += 50
		for _, pod := range pods {
			r.push(pod, total)
		}
	}
	for range 6 {
		on("a", "b")
	}
	r.require(rate, 20, true)
	r = restarted(r, 17*time.Second)
	total += 170
	r.require(rate, 20, true)
	on("a")
	on("a")
	r.require(rate, 20, true)
	on("a", "b")
	on("a", "b")
	on("a", "b")
	r.require(rate, 20, true)
	for range 4 {
		on("a", "b")
	}
	r.require(rate, 20, true)
}

// TestCrashesInARow: what a snapshot from the middle of a warm-up would say is less
// than what there was, so the moment before the first crash counts as well.
func TestCrashesInARow(t *testing.T) {
	rate := with(kserve, "metricQuery", `sum(rate(vllm:num_requests_running[20s]))`)
	r := newRig(t, Options{})
	total := 0.0
	for range 6 {
		r.wait(5 * time.Second)
		total += 50
		r.pushAll(total, total)
	}
	r.require(rate, 20, true)
	r = restarted(r, 21*time.Second)
	for range 2 {
		r.wait(5 * time.Second)
		total += 50
		r.pushAll(total)
	}
	r.require(rate, 20, true)
	r = restarted(r, time.Second)
	r.require(rate, 20, true)
	r = restarted(r, time.Second)
	r.require(rate, 20, true)
}

// TestNoSnapshotOfAWarmUp that began with nothing: it would not be known for one.
func TestNoSnapshotOfAWarmUp(t *testing.T) {
	r := newRig(t, Options{WarmUp: warmUp})
	r.pushAll(0)
	none := func([]byte) error { return nil }
	require.ErrorIs(t, r.server.Snapshot(none), ErrWarming)
	r.requireHeld(kserve, "waits for the others")
	r.wait(warmUp)
	require.NoError(t, r.server.Snapshot(none))
	r.server.Reset(r.store.Reset)
	r.wait(time.Second)
	require.ErrorIs(t, r.server.Snapshot(none), ErrWarming, "nor after a reset")
	r.wait(warmUp)
	require.NoError(t, r.server.Snapshot(none))
}

// TestWhatStartedSinceMayNotHavePushedYet: no value after a restart is not zero
// before the warm-up is over.
func TestWhatStartedSinceMayNotHavePushedYet(t *testing.T) {
	r := newRig(t, Options{})
	r.require(kserve, 0, false)
	r = restarted(r, time.Second)
	r.requireHeld(kserve, "has just started")
	r.push("a", 3)
	r.require(kserve, 3, true)
	r = newRig(t, Options{})
	r.require(kserve, 0, false)
	r = restarted(r, time.Second)
	r.wait(warmUp)
	r.require(kserve, 0, false)
}

// TestLoadIsRemembered: the series had gone from the store, and the answer to hold
// must not become a zero by a restart, nor by two.
func TestLoadIsRemembered(t *testing.T) {
	r := newRig(t, Options{})
	r.pods(3)
	r.require(kserve, 3, true)
	r.wait(10 * time.Minute)
	r.store.Sweep()
	r.store.Sweep()
	r.requireHeld(kserve, "there was load when it last did")
	r = restarted(restarted(r, time.Second), time.Second)
	r.wait(warmUp)
	r.requireHeld(kserve, "there was load when it last did")
	r.require(with(kserve, "activationTargetValue", "7"), 0, false) // another trigger
	require.Empty(t, r.server.objects.recalled)

	r.server.objects.recalled[triggerKey{query: "x"}] = true
	whole, err := r.server.Recall([]byte(`{"whole":5,"triggers":[{"query":"y","active":true}]}`))
	require.NoError(t, err)
	require.Equal(t, int64(5), whole.UnixMilli())
	require.Len(t, r.server.lastDecisions(), 4)
	r.server.Forget()
	require.Len(t, r.server.lastDecisions(), 2)
	_, err = r.server.Recall([]byte(`[{`))
	require.Error(t, err)
}

// TestRestartForThoseWithoutATrigger is of KEDA's prometheus trigger.
func TestRestartForThoseWithoutATrigger(t *testing.T) {
	const text = "sum(vllm:num_requests_running)"
	r := newRig(t, Options{})
	r.pods(3, 3)
	r.require(kserve, 6, true)
	r = restarted(r, 5*time.Second)
	r.pushAll(1)
	r.require(kserve, 6, true)
	least, err := r.server.AtLeast(t.Context(), query.Scope{}, text)
	require.NoError(t, err)
	require.InDelta(t, 6, least, 0)
	r.wait(time.Second)
	r.end("0")
	r.end("1")
	require.ErrorContains(t, r.server.Missing(t.Context(), query.Scope{}, text), "empty since a restart, before which it was 6")
	r.wait(warmUp)
	require.NoError(t, r.server.Missing(t.Context(), query.Scope{}, text))
	r.pushAll(1)
	least, err = r.server.AtLeast(t.Context(), query.Scope{}, text)
	require.NoError(t, err)
	require.InDelta(t, math.Inf(-1), least, 0)
}
