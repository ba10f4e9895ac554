package scaler

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

const warmUp = 30 * time.Second

// restarted is a rig that was down for so long and has restored what r was when it
// stopped.
func restarted(r *rig, down time.Duration) *rig {
	r.t.Helper()
	var series, triggers [][]byte
	to := func(all *[][]byte) func([]byte) error {
		return func(b []byte) error { *all = append(*all, bytes.Clone(b)); return nil }
	}
	require.NoError(r.t, r.store.Snapshot(to(&series)))
	require.NoError(r.t, r.server.Snapshot(to(&triggers)))
	taken := time.UnixMilli(r.now())

	n := &rig{t: r.t, logs: &lines{}}
	n.ms.Store(r.ms.Load() + down.Milliseconds())
	n.set.Store(r.set.Load())
	n.open(Options{WarmUp: warmUp}, store.Options{}, query.Options{})
	_, err := n.store.Restore(taken, func() ([]byte, error) {
		if len(series) == 0 {
			return nil, io.EOF
		}
		b := series[0]
		series = series[1:]
		return b, nil
	})
	require.NoError(r.t, err)
	for _, b := range triggers {
		require.NoError(r.t, n.server.Restore(b))
	}
	moved := max(-down, 0) // as package serve does it
	n.server.Restored(taken.Add(-moved), moved)
	return n
}

// TestRestoredSeriesAreLate: the value is never less than it was, whichever sender
// comes back first; and a sender that does not come back is lost like others.
func TestRestoredSeriesAreLate(t *testing.T) {
	for name, md := range map[string]map[string]string{
		"from the samples": kserve,
		"by the engine":    metricQuery(`sum(vllm:num_requests_running) + 0 * count(vllm:num_requests_running)`),
		"over time":        with(kserve, "operationOverTime", "max"),
	} {
		for _, down := range []time.Duration{0, 3 * time.Second, time.Minute, 110 * time.Second} {
			t.Run(fmt.Sprint(name, down), func(t *testing.T) {
				r := newRig(t, Options{})
				r.pods(3, 3, 3, 3)
				r.require(md, 12, true)
				r = restarted(r, down)
				r.require(md, 12, true)
				for range 20 {
					r.goOn(step, 3, 1)
					v, active, err := r.poll(md)
					require.NoError(t, err)
					require.GreaterOrEqual(t, v, 10.0, "the two that are back, and the last values of the others")
					require.LessOrEqual(t, v, 12.0)
					require.True(t, active)
				}
				r.goOn(step, 9, 9)
				v, _, err := r.poll(md)
				require.NoError(t, err)
				require.GreaterOrEqual(t, v, 18.0, "more is reported at once")
				r.goOn(4*time.Minute, 3, 3)
				r.require(md, 6, true)
			})
		}
	}
}

// TestRestoredLoadThatEnds is reported as less once its sender has reported it.
func TestRestoredLoadThatEnds(t *testing.T) {
	r := newRig(t, Options{})
	r.pods(3, 3)
	r.require(kserve, 6, true)
	r = restarted(r, 5*time.Second)
	r.pushAll(1, 0)
	r.require(kserve, 1, true)
	r.wait(time.Second)
	r.end("1")
	r.require(kserve, 1, true)
	r.goOn(5*time.Second, 0)
	r.require(kserve, 0, false)
}

// TestRestoredRateHasItsGap: samples that could not be received in the downtime
// lower no rate.
func TestRestoredRateHasItsGap(t *testing.T) {
	for _, down := range []time.Duration{time.Second, 17 * time.Second, 40 * time.Second, 100 * time.Second} {
		t.Run(down.String(), func(t *testing.T) {
			rate := metricQuery(`sum(rate(vllm:num_requests_running[20s]))`)
			r := newRig(t, Options{})
			total := 0.0
			on := func(loads int) {
				r.wait(step)
				total += 50
				for i := range loads {
					r.push(fmt.Sprint(i), total)
				}
				r.tick()
			}
			for range 10 {
				on(2)
			}
			r.require(rate, 20, true)
			r = restarted(r, down)
			total += down.Seconds() * 10
			for i := range 12 {
				v, active, err := r.poll(rate)
				if err == nil {
					require.InDelta(t, 20, v, 1, "step %d", i)
					require.True(t, active)
				}
				require.NoError(t, err, "step %d", i)
				on(min(i, 2))
			}
			for range 30 {
				on(2)
			}
			r.require(rate, 20, true)
		})
	}
}

// TestCrashesInARow: a snapshot from a moment when few senders are back does not
// lower the value.
func TestCrashesInARow(t *testing.T) {
	rate := metricQuery(`sum(rate(vllm:num_requests_running[20s]))`)
	r := newRig(t, Options{})
	total := 0.0
	r.steps(10, func() {
		total += 50
		r.pushAll(total, total)
	})
	r.require(rate, 20, true)
	r = restarted(r, 21*time.Second)
	r.steps(2, func() {
		total += 50
		r.pushAll(total)
	})
	r.require(rate, 20, true)
	r = restarted(r, time.Second)
	r.require(rate, 20, true)
	r = restarted(r, time.Second)
	r.require(rate, 20, true)
}

// TestNoSnapshotOfAWarmUp that began with nothing: a start from it would take the
// senders that are back for all.
func TestNoSnapshotOfAWarmUp(t *testing.T) {
	r := newRig(t, Options{WarmUp: warmUp})
	r.pushAll(0)
	none := func([]byte) error { return nil }
	require.ErrorIs(t, r.server.Snapshot(none), ErrWarming)
	r.requireHeld(kserve, waits)
	r.wait(warmUp)
	require.NoError(t, r.server.Snapshot(none))
	r.server.Reset(r.store.Reset)
	r.wait(time.Second)
	require.ErrorIs(t, r.server.Snapshot(none), ErrWarming, "nor after a reset")
	r.wait(warmUp)
	require.NoError(t, r.server.Snapshot(none))
}

// TestNeverSeenAfterARestart is 0: the state that was restored knows of no load.
func TestNeverSeenAfterARestart(t *testing.T) {
	r := newRig(t, Options{})
	r.require(kserve, 0, false)
	r = restarted(r, time.Second)
	r.require(kserve, 0, false)
	r.push("a", 3)
	r.require(kserve, 3, true)
}

// TestLoadIsInTheSnapshot: the series were freed, and the hold must not become a
// zero by a restart, nor by two.
func TestLoadIsInTheSnapshot(t *testing.T) {
	r := newRig(t, Options{})
	r.pods(3)
	r.require(kserve, 3, true)
	r.silence(5 * time.Minute)
	require.Zero(t, r.store.SeriesCount())
	r.requireHeld(kserve, "went silent under load")
	r = restarted(restarted(r, time.Second), time.Second)
	r.wait(warmUp)
	r.requireHeld(kserve, "went silent under load")
	require.Empty(t, r.server.objects.restored)
}

// TestAllTriggersStayInSnapshots: also those that KEDA has not asked about since.
func TestAllTriggersStayInSnapshots(t *testing.T) {
	r := newRig(t, Options{})
	r.pods(3)
	r.require(kserve, 3, true)
	r.require(with(kserve, "activationTargetValue", "7"), 3, false)
	require.Len(t, r.server.stored(), 2)
	r = restarted(r, time.Second)
	require.Len(t, r.server.stored(), 2)
	r.require(kserve, 3, true)
	require.Len(t, r.server.stored(), 2)
	r.server.Forget()
	require.Len(t, r.server.stored(), 1)
	require.Error(t, r.server.Restore([]byte(`[{`)))
}

// TestASnapshotHasFloorsAndResults.
func TestASnapshotHasFloorsAndResults(t *testing.T) {
	r := newRig(t, Options{})
	r.pods(3, 4)
	s := r.stream(kserve) // the trigger is known from here on
	require.True(t, s.next())
	r.goOn(20*time.Second, 3)
	r.require(kserve, 7, true)
	before, err := r.server.Remembered(model)
	require.NoError(t, err)
	r = restarted(r, 10*time.Second)
	r.require(kserve, 7, true)
	after, err := r.server.Remembered(model)
	require.NoError(t, err)
	results := after.Triggers[0].Results
	require.Equal(t, before.Triggers[0].Results, results[:len(before.Triggers[0].Results)])
	r.silence(50 * time.Second) // 80 s after the loss, of which 10 were the scaler's own
	r.require(kserve, 7, true)
}

// TestASnapshotFromTheFuture: the machine's clock was set back since.
func TestASnapshotFromTheFuture(t *testing.T) {
	r := newRig(t, Options{})
	r.pods(3, 4)
	r.require(kserve, 7, true)
	r.goOn(20*time.Second, 3)
	r.require(kserve, 7, true)
	r = restarted(r, -time.Hour)
	r.require(kserve, 7, true)
	r.goOn(130*time.Second, 3)
	r.require(kserve, 3, true)
}

// TestRestartOfAQueryUnderKEDAsPath: its state is in no snapshot, and its restored
// series are late all the same.
func TestRestartOfAQueryUnderKEDAsPath(t *testing.T) {
	const text = "sum(vllm:num_requests_running)"
	r := newRig(t, Options{})
	r.pods(3, 3)
	r = restarted(r, 5*time.Second)
	r.pushAll(3)
	v, err := r.server.Answer(t.Context(), "", text)
	require.NoError(t, err)
	require.InDelta(t, 6, v, 0)
}

// TestALoadThatWasNeverKnownIsNotZeroAfterARestart: the scaler started without a
// snapshot, no sender came back in the warm-up, and the scaler restarts.
func TestALoadThatWasNeverKnownIsNotZeroAfterARestart(t *testing.T) {
	r := newRig(t, Options{WarmUp: warmUp})
	r.requireHeld(kserve, "waits until")
	r.wait(warmUp + time.Second)
	r.requireHeld(kserve, "since the scaler started without a snapshot at 2023-11-14T22:13:20Z")
	r = restarted(r, 10*time.Second)
	r.requireHeld(kserve, "since the scaler started without a snapshot at 2023-11-14T22:13:20Z")
	r.push("a", 3)
	r.require(kserve, 3, true)
}

// TestASeriesThatEndedBeforeARestart is lost for as long afterwards as it would have
// been without the restart: nothing was pushed after it ended.
func TestASeriesThatEndedBeforeARestart(t *testing.T) {
	for _, down := range []time.Duration{0, 20 * time.Second, 100 * time.Second} {
		t.Run(down.String(), func(t *testing.T) {
			r := newRig(t, Options{})
			r.pods(3, 4)
			r.require(kserve, 7, true)
			r.wait(2 * time.Second)
			r.end("1")
			r.wait(time.Second)
			r = restarted(r, down)
			r.requireCause(kserve, 7, true, causeLoss)
			r = restarted(r, down)
			r.requireCause(kserve, 7, true, causeLoss)
			r.goOn(10*time.Second, 3)
			r.requireCause(kserve, 7, true, causeLoss)
			r.goOn(5*time.Second, 3)
			r.requireCause(kserve, 3, true, causeValue)
		})
	}
}
