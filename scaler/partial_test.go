package scaler

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// pods push their loads three times, five seconds apart, and once more.
func (r *rig) pods(loads ...float64) {
	r.t.Helper()
	for i := range 4 {
		if i > 0 {
			r.wait(5 * time.Second)
		}
		r.pushAll(loads...)
	}
}

// pushAll pushes the loads of the pods from the first on.
func (r *rig) pushAll(loads ...float64) {
	r.t.Helper()
	for i, v := range loads {
		r.push(fmt.Sprint(i), v)
	}
}

// goOn has the first pods push for so long, the last time now.
func (r *rig) goOn(d time.Duration, loads ...float64) {
	r.t.Helper()
	for end := r.ms.Load() + d.Milliseconds(); r.ms.Load() < end; {
		r.wait(5 * time.Second)
		r.pushAll(loads...)
		r.store.Sweep()
	}
}

// TestAPartialOutageIsNotLessLoad: the senders of four pods of ten vanish.
func TestAPartialOutageIsNotLessLoad(t *testing.T) {
	for name, queries := range map[string]map[string]string{
		"from the rings": with(kserve, "metricQuery", `sum(vllm:num_requests_running{namespace="default", deployment="huggingface-fbopt-predictor"})`),
		"by the engine":  with(kserve, "metricQuery", `sum(vllm:num_requests_running{namespace="default"}) + 0 * count(vllm:num_requests_running)`),
		"over time":      with(kserve, "operationOverTime", "max"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			r.pods(3, 3, 3, 3, 3, 3, 2, 2, 2, 2)
			r.require(queries, 26, true)
			for range 11 { // almost the retention
				r.goOn(10*time.Second, 3, 3, 3, 3, 3, 3)
				r.require(queries, 26, true)
			}
			r.goOn(20*time.Second, 3, 3, 3, 3, 3, 3)
			r.require(queries, 18, true)
		})
	}
}

func TestThoseThatAreLeftMayNeedMore(t *testing.T) {
	r := newRig(t, Options{})
	r.pods(2, 2, 2, 2)
	r.goOn(15*time.Second, 4, 4)
	r.require(kserve, 8, true)
	r.goOn(5*time.Second, 5, 5)
	r.require(kserve, 10, true)
	r.goOn(5*time.Second, 3, 3)
	r.require(kserve, 8, true) // not 10: that was without the lost ones
}

// TestALoadThatDoesNotActivateKeepsItsReplicas when all its senders vanish: the HPA
// goes by the value, whatever is active.
func TestALoadThatDoesNotActivateKeepsItsReplicas(t *testing.T) {
	r := newRig(t, Options{})
	busy := with(kserve, "activationTargetValue", "50")
	r.pods(20, 20)
	r.require(busy, 40, false)
	for range 11 { // almost the retention
		r.goOn(10 * time.Second)
		r.require(busy, 40, false)
	}
	r.goOn(20 * time.Second)
	r.require(busy, 0, false)
}

// TestSendersThatComeBackEndTheHold at once, with what they say then.
func TestSendersThatComeBackEndTheHold(t *testing.T) {
	r := newRig(t, Options{})
	r.pods(2, 2, 2, 2)
	r.goOn(20*time.Second, 2, 2)
	r.require(kserve, 8, true)
	r.wait(5 * time.Second)
	r.pushAll(1, 1, 1, 1)
	r.require(kserve, 4, true)
}

// TestAScaleDownIsNotHeldBack when its pods end with a marker, or are idle.
func TestAScaleDownIsNotHeldBack(t *testing.T) {
	r := newRig(t, Options{})
	r.pods(2, 2, 2, 2)
	r.goOn(5*time.Second, 2, 2, 2, 0)
	r.wait(time.Second)
	r.end("2")
	r.require(kserve, 4, true)
	r.goOn(20*time.Second, 2, 1) // the last pod has fallen silent
	r.require(kserve, 3, true)
}

// TestPodsLostOneAfterTheOther do not lower the value step by step.
func TestPodsLostOneAfterTheOther(t *testing.T) {
	r := newRig(t, Options{})
	r.pods(2, 2, 2, 2)
	r.goOn(20*time.Second, 2, 2, 2)
	r.goOn(20*time.Second, 2, 2)
	r.goOn(20*time.Second, 2)
	r.require(kserve, 8, true)
	r.wait(20 * time.Second)
	r.requireHeld(kserve, "the value was 8 then")
}

// TestASmallLossHidesNoLargerOne that follows while it is remembered.
func TestASmallLossHidesNoLargerOne(t *testing.T) {
	r := newRig(t, Options{})
	r.pods(1, 1, 1, 1)
	r.goOn(20*time.Second, 1, 1, 1)
	r.require(kserve, 4, true)
	r.goOn(10*time.Second, 6, 6, 6)
	r.require(kserve, 18, true)
	r.goOn(20*time.Second, 6)
	r.require(kserve, 18, true)
	r.wait(20 * time.Second)
	r.requireHeld(kserve, "the value was 18 then")
}

// TestALossWhenIdleHidesNoneUnderLoad: the value was not active at the first.
func TestALossWhenIdleHidesNoneUnderLoad(t *testing.T) {
	r := newRig(t, Options{})
	md := with(kserve, "activationTargetValue", "5")
	r.pods(1, 1)
	r.goOn(20*time.Second, 1)
	r.require(md, 2, false)
	r.goOn(10*time.Second, 9)
	r.wait(20 * time.Second)
	r.requireHeld(md, "the value was 9 then")
}

// TestAHeldActivityOutlastsOnlyTheLoss: the streams hear of its end.
func TestAHeldActivityOutlastsOnlyTheLoss(t *testing.T) {
	r := newRig(t, Options{})
	r.pods(0, 3)
	s := r.stream(kserve)
	require.True(t, s.next())
	r.goOn(time.Minute, 0)
	r.require(kserve, 3, true)
	require.Empty(t, s.got)
	r.goOn(70*time.Second, 0)
	require.False(t, s.next())
	r.require(kserve, 0, false)
}

// TestAStreamHearsOfALossThatMakesActive although the value stays inactive: polls
// are told the same.
func TestAStreamHearsOfALossThatMakesActive(t *testing.T) {
	r := newRig(t, Options{})
	md := with(kserve, "activationTargetValue", "5")
	r.pods(0, 4, 4)
	s := r.stream(md)
	require.True(t, s.next())
	r.goOn(5*time.Second, 0, 0) // the last pod has said 4 for the last time
	require.False(t, s.next())
	r.goOn(15*time.Second, 0, 0)
	require.True(t, s.next())
	r.require(md, 8, true)
}

// TestWhatWasBeforeOutlastsItsSamples: those that go on push so often that theirs
// of that time are given up, and then there is another loss.
func TestWhatWasBeforeOutlastsItsSamples(t *testing.T) {
	r := newRig(t, Options{})
	r.pods(2, 2, 2, 2)
	r.goOn(20*time.Second, 2, 2, 2)
	r.require(kserve, 8, true)
	for range 1100 { // a series keeps 1024
		r.wait(60 * time.Millisecond)
		r.pushAll(1, 1, 1)
	}
	r.goOn(15*time.Second, 1, 1)
	r.require(kserve, 8, true)
}

// TestAtLeastForThoseWithoutATrigger is the same for KEDA's prometheus trigger.
func TestAtLeastForThoseWithoutATrigger(t *testing.T) {
	const text = "sum(vllm:num_requests_running)"
	r := newRig(t, Options{WarmUp: 30 * time.Second})
	r.pods(2, 2, 2, 2)
	_, err := r.server.AtLeast(t.Context(), query.Scope{}, text)
	require.ErrorIs(t, err, ErrHeld)
	atLeast := func(want float64, text string) {
		t.Helper()
		v, err := r.server.AtLeast(t.Context(), query.Scope{}, text)
		require.NoError(t, err)
		require.InDelta(t, want, v, 0)
	}
	r.goOn(20*time.Second, 2, 2, 2, 2)
	none := math.Inf(-1)
	atLeast(none, text)
	r.goOn(20*time.Second, 2, 2)
	atLeast(8, text)
	atLeast(none, "sum(")
	atLeast(none, "vector(0)/0")
	atLeast(none, "nothing")
}
