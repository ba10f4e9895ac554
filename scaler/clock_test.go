package scaler

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// pushAt is push by a sender whose clock is off.
func (r *rig) pushAt(pod string, off time.Duration, v float64) store.Outcome {
	r.t.Helper()
	a := r.store.Appender()
	defer a.Commit()
	out, err := a.Append(labels.FromStrings(labels.MetricName, "vllm:num_requests_running",
		"namespace", "default", "deployment", "huggingface-fbopt-predictor", "pod", pod), r.now()+off.Milliseconds(), v)
	if out == store.Rejected {
		require.ErrorIs(r.t, err, store.ErrTooOld)
	}
	return out
}

// TestSendersClocks that are off by hours, and jump: a value or an error, never a
// zero, and no series stays permanently.
func TestSendersClocks(t *testing.T) {
	every := func(r *rig, off func(i int) time.Duration, v float64) {
		for i := range 6 {
			if i > 0 {
				r.wait(5 * time.Second)
			}
			r.pushAt("a", off(i), v)
		}
	}
	always := func(off time.Duration) func(int) time.Duration { return func(int) time.Duration { return off } }
	for name, tc := range map[string]struct {
		off   func(int) time.Duration
		value bool // or an error
	}{
		"hours ahead":             {always(3 * time.Hour), true},
		"a minute late":           {always(-time.Minute), true},
		"hours late":              {always(-3 * time.Hour), false},
		"set forward, then back":  {func(i int) time.Duration { return []time.Duration{0, 0, time.Hour, time.Hour, 0, 0}[i] }, true},
		"jumping about":           {func(i int) time.Duration { return time.Duration(i%3-1) * time.Hour }, true},
		"set back by hours":       {func(i int) time.Duration { return -time.Duration(i/2) * time.Hour }, true}, // the last value before
		"faster and faster":       {func(i int) time.Duration { return time.Duration(i*i) * time.Minute }, true},
		"late, and set right now": {func(i int) time.Duration { return -time.Duration(5-i) * time.Hour }, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			every(r, tc.off, 3)
			if tc.value {
				r.require(kserve, 3, true)
			} else {
				r.requireHeld(kserve, "older than the retention")
			}
			r.wait(10 * time.Minute)
			r.store.Sweep()
			require.Zero(t, r.store.SeriesCount())
		})
	}

	t.Run("idle, then busy by a clock that is late", func(t *testing.T) {
		r := newRig(t, Options{})
		every(r, always(0), 0)
		r.require(kserve, 0, false)
		every(r, always(-time.Hour), 0)
		r.require(kserve, 0, false) // there is still no load
		every(r, always(-time.Hour), 3)
		r.requireHeld(kserve, "the sender's clock is late") // the last complete value is no load
		r.wait(3 * time.Minute)
		r.require(kserve, 0, false) // no sender has sent anything for the retention
	})
	t.Run("markers are no load", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pushAt("b", -time.Hour, math.Float64frombits(value.StaleNaN))
		r.require(kserve, 0, false)
	})
	t.Run("others' are none of its business", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pushAt("a", -time.Hour, 3)
		r.require(with(kserve, "metricQuery", `sum(vllm:num_requests_running{deployment="other"})`), 0, false)
		r.require(with(kserve, "onMissing", "zero"), 0, false)
		r.requireHeld(with(kserve, "metricQuery", `sum(rate(vllm:num_requests_running[1m])) + 0 * count(vllm:num_requests_running)`), "the store rejects samples")
	})
}
