package scaler

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// The tests in missing_*_test.go are over a real connection. Each has the name of a
// row of the table of what counts as missing (docs/ARCHITECTURE.md, Decisions).

// TestLate: a series has missed 1.5 of its push intervals, at least 2 s.
func TestLate(t *testing.T) {
	t.Run("after one and a half intervals", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(3, 2)
		r.steps(1, func() { r.pushAll(1) })
		r.wait(2499 * time.Millisecond)
		r.push("0", 1)
		r.requireCause(kserve, 3, true, causeValue) // 1, and the last value of the other
		r.wait(time.Millisecond)
		r.push("0", 1)
		r.requireCause(kserve, 3, true, causeLoss)
	})
	t.Run("at least two seconds", func(t *testing.T) {
		r := newRig(t, Options{})
		for range 20 {
			r.wait(100 * time.Millisecond)
			r.pushAll(3)
		}
		r.tick()
		r.wait(1999 * time.Millisecond)
		r.requireCause(kserve, 3, true, causeValue)
		r.wait(time.Millisecond)
		r.requireCause(kserve, 3, true, causeLoss)
	})
	t.Run("its last value adds nothing under sum", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(3, 0)
		r.goOn(10*time.Second, 3)
		r.requireCause(kserve, 3, true, causeValue)
	})
	t.Run("its last value adds nothing under max", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("max(vllm:num_requests_running)")
		r.pods(3, 0)
		r.goOn(10*time.Second, 3)
		r.requireCause(md, 3, true, causeValue)
	})
	t.Run("all adds nothing: the last values", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(5)
		r.steps(1, func() { r.pushAll(0) }) // KEDA does not ask while it is idle
		r.silence(20 * time.Second)
		r.requireCause(kserve, 0, false, causeInactive)
		r.silence(5 * time.Minute)
		r.requireCause(kserve, 0, false, causeInactive)
	})
	t.Run("a zero counts under count", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("count(free == 0)")
		r.steps(4, func() { r.put("free", "0", 0); r.put("free", "1", 0); r.put("free", "2", 0) })
		r.require(md, 3, true)
		r.steps(5, func() { r.put("free", "2", 0) })
		r.requireCause(md, 3, true, causeLoss)
	})
	t.Run("a zero counts in 1 - x", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("sum(1 - free)")
		r.steps(4, func() { r.put("free", "0", 0); r.put("free", "1", 0); r.put("free", "2", 0.5) })
		r.require(md, 2.5, true)
		r.steps(5, func() { r.put("free", "2", 0.5) })
		r.requireCause(md, 2.5, true, causeLoss)
	})
	t.Run("a zero counts as a divisor", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("sum(used) / (10 + sum(bonus))")
		r.steps(4, func() { r.put("used", "0", 20); r.put("bonus", "0", 0); r.put("bonus", "1", 10) })
		r.require(md, 1, true)
		r.steps(5, func() { r.put("used", "0", 20); r.put("bonus", "1", 10) })
		r.require(md, 1, true)
	})
	t.Run("the survivors may need more", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(2, 2, 2, 2)
		r.goOn(15*time.Second, 4, 4)
		r.require(kserve, 8, true)
		r.goOn(5*time.Second, 5, 5)
		r.require(kserve, 10, true)
		r.goOn(5*time.Second, 3, 3)
		r.require(kserve, 8, true) // and not 10
	})
	t.Run("one after the other does not lower the value step by step", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(2, 2, 2, 2)
		r.goOn(20*time.Second, 2, 2, 2)
		r.goOn(20*time.Second, 2, 2)
		r.goOn(20*time.Second, 2)
		r.require(kserve, 8, true)
		r.silence(20 * time.Second)
		r.require(kserve, 8, true)
	})
	t.Run("a small loss hides no larger one", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(1, 1, 1, 1)
		r.goOn(20*time.Second, 1, 1, 1)
		r.require(kserve, 4, true)
		r.goOn(10*time.Second, 6, 6, 6)
		r.require(kserve, 18, true)
		r.goOn(20*time.Second, 6)
		r.require(kserve, 18, true)
		r.silence(20 * time.Second)
		r.require(kserve, 18, true)
	})
	t.Run("those that are back end it at once", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(2, 2, 2, 2)
		r.goOn(20*time.Second, 2, 2)
		r.require(kserve, 8, true)
		r.steps(1, func() { r.pushAll(1, 1, 1, 1) })
		r.requireCause(kserve, 4, true, causeValue)
	})
	t.Run("load that moved counts once", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(5, 5)
		r.steps(4, func() { r.push("1", 5); r.push("new", 5) })
		r.require(kserve, 10, true)
	})
	t.Run("by every way of evaluation", func(t *testing.T) {
		for name, md := range map[string]map[string]string{
			"from the samples": kserve,
			"by the engine":    metricQuery(`sum(vllm:num_requests_running{namespace="default"}) + 0 * count(vllm:num_requests_running)`),
			"over time":        with(kserve, "operationOverTime", "max"),
		} {
			t.Run(name, func(t *testing.T) {
				r := newRig(t, Options{})
				r.pods(3, 3, 3, 3, 3, 3, 2, 2, 2, 2)
				r.require(md, 26, true)
				for range 11 { // almost the retention
					r.goOn(10*time.Second, 3, 3, 3, 3, 3, 3)
					r.require(md, 26, true)
				}
				r.goOn(20*time.Second, 3, 3, 3, 3, 3, 3)
				r.require(md, 18, true)
			})
		}
	})
	t.Run("an entry outlasts its samples", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(2, 2, 2, 2)
		r.goOn(20*time.Second, 2, 2, 2)
		r.require(kserve, 8, true)
		for range 1100 { // a series has 1024 samples
			r.wait(60 * time.Millisecond)
			r.pushAll(1, 1, 1)
		}
		r.require(kserve, 5, true) // min(8, carried)
		r.goOn(15*time.Second, 1, 1)
		r.require(kserve, 5, true)
	})
	t.Run("a load that does not activate keeps its replicas", func(t *testing.T) {
		r := newRig(t, Options{})
		md := with(kserve, "activationTargetValue", "50")
		r.pods(20, 20)
		r.require(md, 40, false)
		r.silence(115 * time.Second)
		r.require(md, 40, false)
		r.silence(20 * time.Second)
		r.requireCause(md, 0, false, causeInactive)
	})
}

// TestEnded: a series ended by staleness marker with a value that adds something is
// lost, because a failed scrape looks the same.
func TestEnded(t *testing.T) {
	t.Run("all ended together: until forgotten", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(40)
		r.require(kserve, 40, true)
		r.wait(step)
		r.end("0")
		for range 11 {
			r.require(kserve, 40, true)
			r.silence(10 * time.Second)
		}
		r.silence(10 * time.Second)
		r.requireCause(kserve, 0, false, causeEnded)
		r.silence(10 * time.Minute)
		r.requireCause(kserve, 0, false, causeEnded)
	})
	t.Run("the next scrape brings it back", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(40)
		r.wait(step)
		r.end("0")
		r.require(kserve, 40, true)
		r.steps(1, func() { r.pushAll(38) })
		r.requireCause(kserve, 38, true, causeValue)
	})
	t.Run("others continue: for three intervals", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(5, 30)
		r.steps(1, func() { r.push("0", 5); r.end("1") })
		r.requireCause(kserve, 35, true, causeLoss)
		r.goOn(10*time.Second, 5)
		r.wait(4999 * time.Millisecond)
		r.push("0", 5)
		r.requireCause(kserve, 35, true, causeLoss)
		r.wait(time.Millisecond)
		r.push("0", 5)
		r.requireCause(kserve, 5, true, causeValue)
	})
	t.Run("others continued for three intervals, and the last goes silent", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(5, 30)
		r.steps(1, func() { r.push("0", 5); r.end("1") })
		r.goOn(15*time.Second, 5)
		r.requireCause(kserve, 5, true, causeValue)
		for range 11 {
			r.silence(10 * time.Second)
			r.requireCause(kserve, 5, true, causeLoss) // and not 35: what ended does not count again
		}
		r.silence(10 * time.Second)
		r.requireHeld(kserve, "went silent under load")
	})
	t.Run("a value that adds nothing is no loss", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(5, 0)
		r.steps(1, func() { r.push("0", 5); r.end("1") })
		r.requireCause(kserve, 5, true, causeValue)
		r.steps(1, func() { r.push("0", 0) })
		r.wait(step)
		r.end("0")
		r.requireCause(kserve, 0, false, causeEnded)
	})
	t.Run("scrapes that fail for three minutes", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(9)
		r.steps(1, func() { r.end("0") })
		// What was there ended, and the design has no other witness than this.
		r.silence(110 * time.Second)
		r.require(kserve, 9, true)
	})
}

// TestForgotten: without Kubernetes, one retention after its last sample.
func TestForgotten(t *testing.T) {
	t.Run("one of several", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(3, 2)
		r.goOn(115*time.Second, 3)
		r.requireCause(kserve, 5, true, causeLoss)
		r.wait(4999 * time.Millisecond)
		r.push("0", 3)
		r.requireCause(kserve, 5, true, causeLoss)
		r.wait(time.Millisecond)
		r.push("0", 3)
		r.requireCause(kserve, 3, true, causeValue)
	})
	t.Run("a busy model whose pods vanish is held, however long it takes", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(5, 4)
		r.require(kserve, 9, true)
		r.silence(119 * time.Second)
		r.requireCause(kserve, 9, true, causeLoss)
		r.require(with(kserve, "onMissing", "zero"), 0, false)
		r.silence(10 * time.Minute)
		require.Zero(t, r.store.SeriesCount())
		r.requireHeld(kserve, "went silent under load")
		r.push("0", 2)
		r.require(kserve, 2, true)
	})
	t.Run("before the query ever had a value", func(t *testing.T) {
		r := newRig(t, Options{WarmUp: warmUp})
		md := metricQuery("sum(rate(y[1m]))")
		r.put("y", "0", 5) // of a sender that was there before the scaler
		r.silence(warmUp)
		r.requireHeld(md, "at least two samples")
		r = restarted(r, step) // that it is not known is in the snapshot
		r.silence(115 * time.Second)
		r.holds(md, "went silent")
		r.silence(10 * time.Second)
		r.requireHeld(md, "before their load was known")
	})
}

// TestReturned: all series of a busy query were lost together and forgotten, then some
// return: as just started.
func TestReturned(t *testing.T) {
	t.Run("a network cut of 110 s, 20 senders return one by one over a minute", func(t *testing.T) {
		r := newRig(t, Options{WarmUp: 2 * time.Minute})
		r.wait(time.Hour)
		loads := make([]float64, 20)
		for i := range loads {
			loads[i] = 5
		}
		r.pods(loads...)
		r.require(kserve, 100, true)
		r.silence(110 * time.Second)
		r.requireCause(kserve, 100, true, causeLoss)
		held := 0
		for second := range 180 {
			r.wait(time.Second)
			for i := range 20 { // every 3 s one more, which goes on every 5 s
				if since := second - 3*i; since >= 0 && since%5 == 0 {
					r.push(fmt.Sprint(i), 5)
				}
			}
			r.tick()
			v, _, err := r.poll(kserve)
			if err != nil {
				held++
				require.ErrorContains(t, err, "waits until")
				continue
			}
			require.InDelta(t, 100, v, 1e-9, "after %d s", second)
		}
		require.InDelta(t, 48, held, 1, "from when the first are forgotten until the last is back")
		r.requireCause(kserve, 100, true, causeValue)
	})
	t.Run("and series were rejected meanwhile", func(t *testing.T) {
		full := false
		r := newRigWith(t, Options{WarmUp: 2 * time.Minute}, store.Options{Full: func() bool { return full }}, query.Options{})
		r.wait(time.Hour)
		r.pods(5, 5)
		r.require(kserve, 10, true)
		full = true
		r.silence(115 * time.Second)
		for range 3 {
			r.wait(step)
			a := r.store.Appender()
			_, err := a.Append(labels.FromStrings(labels.MetricName, "vllm:num_requests_running", "namespace", "default", "pod", "new", "deployment", "huggingface-fbopt-predictor"), r.now(), 5)
			require.Error(t, err)
			r.tick()
		}
		r.silence(10 * time.Second)
		r.requireHeld(kserve, "rejects new series")
		full = false
		r.steps(1, func() { r.push("new", 5) })
		r.requireHeldActive(kserve, "waits until")
	})
	t.Run("a network cut of 150 s, no restart, 20 senders return over a minute", func(t *testing.T) {
		r := newRig(t, Options{WarmUp: 2 * time.Minute})
		r.wait(time.Hour)
		loads := make([]float64, 20)
		for i := range loads {
			loads[i] = 5
		}
		r.pods(loads...)
		r.require(kserve, 100, true)
		s := r.stream(kserve)
		require.True(t, s.next())
		r.silence(150 * time.Second)
		r.requireHeld(kserve, "went silent under load")
		for i := range 10 {
			r.goOn(step, loads[:2*i+1]...)
			r.requireHeldActive(kserve, "waits until")
		}
		r.goOn(step, loads...)
		r.requireCause(kserve, 100, true, causeValue)
		require.Empty(t, s.got)
	})
	t.Run("a part of an average is no lower bound", func(t *testing.T) {
		md := metricQuery(`avg(vllm:num_requests_running)`)
		r := newRig(t, Options{WarmUp: 2 * time.Minute})
		r.wait(time.Hour)
		r.pods(10, 10)
		r.require(md, 10, true)
		r.silence(150 * time.Second)
		r.goOn(step, 12)
		r.holds(md, "waits until")
	})
	t.Run("and the scaler restarts meanwhile", func(t *testing.T) {
		r := newRig(t, Options{WarmUp: 2 * time.Minute})
		r.wait(time.Hour)
		r.pods(5, 5, 5)
		r.require(kserve, 15, true)
		r.silence(150 * time.Second)
		r.goOn(2*step, 5)
		r.requireHeldActive(kserve, "waits until")
		r = restarted(r, step)
		r.requireHeld(kserve, "went silent under load")
		r.goOn(step, 5)
		r.requireHeldActive(kserve, "waits until")
	})
	t.Run("and the scaler restarts before any is forgotten", func(t *testing.T) {
		r := newRig(t, Options{WarmUp: 2 * time.Minute})
		r.wait(time.Hour)
		r.pods(5, 5)
		r.require(kserve, 10, true)
		r.wait(4 * time.Second)
		r.push("0", 5)
		r.tick()
		r.silence(60 * time.Second)
		r.requireCause(kserve, 10, true, causeLoss)
		r = restarted(r, 30*time.Second) // which is no silence
		r.silence(58 * time.Second)
		r.holds(kserve, "the load of those that are stored is only a part")
	})
	t.Run("and one never returns", func(t *testing.T) {
		r := newRig(t, Options{WarmUp: 2 * time.Minute})
		r.wait(time.Hour)
		r.pods(5, 5, 5)
		r.require(kserve, 15, true)
		r.silence(150 * time.Second)
		r.goOn(115*time.Second, 5, 5)
		r.requireHeldActive(kserve, "of what has been pushed the query is 10")
		r.goOn(2*step, 5, 5)
		r.requireCause(kserve, 10, true, causeValue)
	})
	t.Run("not of an idle one", func(t *testing.T) {
		r := newRig(t, Options{WarmUp: 2 * time.Minute})
		r.wait(time.Hour)
		r.pods(0, 0)
		r.require(kserve, 0, false)
		r.silence(150 * time.Second)
		r.require(kserve, 0, false)
		r.push("0", 1)
		r.requireCause(kserve, 1, true, causeValue)
	})
}

// TestAnEntryExpiresWhileNothingIsPushed: its series is back and lost again, so that it
// expires at another time than any series is forgotten.
func TestAnEntryExpiresWhileNothingIsPushed(t *testing.T) {
	r := newRig(t, Options{})
	r.pods(10, 10, 10)
	r.require(kserve, 30, true)
	first := r.ms.Load()
	r.steps(6, func() { r.push("1", 10); r.push("2", 10) })
	r.steps(6, func() { r.push("2", 10) })
	r.steps(2, func() { r.push("0", 10); r.push("2", 10) })
	r.silence(time.Duration(first+119_000-r.ms.Load()) * time.Millisecond)
	r.require(kserve, 30, true) // as of the first loss
	r.silence(2 * time.Second)
	r.require(kserve, 20, true) // as of the others
}

// TestEvaluationFails for a reason other than data: hold, and never cache the failure.
func TestEvaluationFails(t *testing.T) {
	boom := errors.New("no slot")
	lose := func(t *testing.T) (*gate, *rig) {
		gate := newGate(t)
		r := gate.rig(Options{})
		r.pods(3, 3, 3, 3)
		r.require(metricQuery(gated), 12, true)
		r.goOn(10*time.Second, 3)
		return gate, r
	}
	for nth, name := range []string{1: "of current", 2: "of carried"} {
		if name == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			gate, r := lose(t)
			gate.at(int64(nth), func() error { return boom })
			r.push("0", 3)
			r.wait(time.Millisecond)
			r.push("0", 3)
			_, err := r.server.current(t.Context(), r.state(metricQuery(gated)))
			require.NoError(t, err)
			require.Equal(t, "hold_failed", r.cause(metricQuery(gated)))
			r.requireCause(metricQuery(gated), 12, true, causeLoss)
		})
	}
	t.Run("the evaluation in hindsight found no free slot once", func(t *testing.T) {
		gate := newGate(t)
		r := gate.rig(Options{})
		r.pods(3, 3, 3, 3)
		r.require(metricQuery(gated), 12, true)
		r.wait(step)
		r.push("0", 3)
		r.wait(2500 * time.Millisecond) // the others are late from now on
		gate.at(3, func() error { return boom })
		v, _, err := r.poll(metricQuery(gated))
		require.NoError(t, err)
		require.GreaterOrEqual(t, v, 12.0, "the last complete value")
		for range 20 {
			r.goOn(step, 3)
			r.requireCause(metricQuery(gated), 12, true, causeLoss)
		}
	})
	t.Run("no turn for the PromQL engine", func(t *testing.T) {
		gate := newGate(t)
		r := newRigWith(t, Options{}, noStoreOptions, engineOf(1, 20*time.Millisecond))
		r.pods(3, 3, 3, 3)
		r.require(metricQuery(gated), 12, true)
		busy, free := make(chan struct{}), make(chan struct{})
		gate.at(1, func() error { close(busy); <-free; return nil })
		other := r.state(metricQuery("vector(0) * test_gate(0)"))
		ended := make(chan error)
		go func() {
			_, err := r.server.current(t.Context(), other)
			ended <- err
		}()
		<-busy
		for range 2 {
			r.wait(step)
			r.pushAll(3)
		}
		_, _, err := r.poll(metricQuery(gated))
		require.ErrorContains(t, err, "evaluation failed")
		close(free)
		require.NoError(t, <-ended)
		r.requireCause(metricQuery(gated), 12, true, causeLoss)
	})
}

// TestClockIsSet: times of losses and of the start move with the clock.
func TestClockIsSet(t *testing.T) {
	t.Run("back by an hour between two losses", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(50, 50, 50)
		r.require(kserve, 150, true)
		r.goOn(25*time.Second, 50, 50)
		r.require(kserve, 150, true)
		r.goOn(5*time.Second, 2, 2, 2)
		r.require(kserve, 6, true)
		r.goOn(200*time.Second, 2, 2, 2)
		r.set.Add(-time.Hour.Milliseconds())
		r.goOn(600*time.Second, 2, 2, 2)
		r.require(kserve, 6, true)
		r.goOn(25*time.Second, 2, 2)
		r.require(kserve, 6, true)
		r.goOn(130*time.Second, 2, 2)
		r.require(kserve, 4, true)
		r.goOn(25*time.Second, 2)
		r.require(kserve, 4, true)
	})
	t.Run("in a loss", func(t *testing.T) {
		for _, by := range []time.Duration{-time.Hour, time.Hour} {
			r := newRig(t, Options{})
			r.pods(3, 4)
			r.require(kserve, 7, true)
			r.goOn(20*time.Second, 3)
			r.require(kserve, 7, true)
			r.set.Add(by.Milliseconds())
			r.goOn(20*time.Second, 3)
			r.requireCause(kserve, 7, true, causeLoss)
			r.goOn(90*time.Second, 3)
			r.requireCause(kserve, 3, true, causeValue)
		}
	})
	t.Run("back by an hour after the warm-up", func(t *testing.T) {
		r := newRig(t, Options{WarmUp: 2 * time.Minute})
		r.goOn(200*time.Second, 3)
		r.require(kserve, 3, true)
		r.require(metricQuery("sum(other)"), 0, false)
		r.set.Add(-time.Hour.Milliseconds())
		r.goOn(2*step, 3)
		r.require(kserve, 3, true)
		r.require(metricQuery("sum(another)"), 0, false)
	})
	t.Run("forward by an hour in the warm-up", func(t *testing.T) {
		r := newRig(t, Options{WarmUp: 2 * time.Minute})
		r.goOn(20*time.Second, 3)
		r.set.Add(time.Hour.Milliseconds())
		r.goOn(20*time.Second, 3)
		r.requireHeldActive(kserve, "waits until")
		r.goOn(90*time.Second, 3)
		r.require(kserve, 3, true)
	})
	t.Run("while all are silent", func(t *testing.T) {
		for _, by := range []time.Duration{-time.Hour, time.Hour} {
			r := newRig(t, Options{})
			r.pods(3)
			r.require(kserve, 3, true)
			r.silence(20 * time.Second)
			r.set.Add(by.Milliseconds())
			r.silence(20 * time.Second)
			r.requireCause(kserve, 3, true, causeLoss)
			r.silence(90 * time.Second)
			r.requireHeld(kserve, "went silent under load")
		}
	})
}

// TestAQuotientOfWhatIsLost: an entry does not have the load of a series from before it
// became idle beside a divisor without the same pod.
func TestAQuotientOfWhatIsLost(t *testing.T) {
	r := newRig(t, Options{})
	md := metricQuery("sum(used) / sum(capacity)")
	push := func(pod string, used float64) {
		r.put("used", pod, used)
		r.put("capacity", pod, 10)
	}
	for second := range 60 {
		push("live", 1)
		if second <= 50 {
			push("idle", 10)
		} else if second <= 52 {
			push("idle", 0)
		}
		if second <= 50 && second%5 == 0 {
			push("slow", 10)
		}
		r.wait(time.Second)
		r.server.Tick(t.Context())
		if v, _, err := r.poll(md); err == nil {
			require.LessOrEqual(t, v, 21.0/30, "in second %d, the highest when all was there", second)
		}
	}
	r.requireCause(md, 11.0/20, true, causeLoss)
}

// TestAverage: the load of ten pods triples after one dies.
func TestAverage(t *testing.T) {
	r := newRig(t, Options{})
	md := metricQuery("avg(kv)")
	push := func(n int, v float64) {
		for i := range n {
			r.put("kv", fmt.Sprint(i), v)
		}
	}
	r.steps(4, func() { push(10, 30) })
	r.require(md, 30, true)
	r.steps(1, func() { push(9, 90) })
	for range 20 {
		v, _, err := r.poll(md)
		require.NoError(t, err)
		require.GreaterOrEqual(t, v, 81.0)
		require.LessOrEqual(t, v, 90.0)
		r.steps(1, func() { push(9, 90) })
	}
}

// TestAllSilentOneAfterTheOther: the series that pushed last are forgotten one after the
// other, and the value does not follow them down. What is back is not all of them.
func TestAllSilentOneAfterTheOther(t *testing.T) {
	r := newRig(t, Options{WarmUp: 30 * time.Second})
	r.wait(time.Minute)
	const pods = 6
	push := func(n int) {
		for i := range 2 * n {
			r.wait(step)
			r.push(fmt.Sprint(i%pods), 10)
			r.tick()
		}
	}
	push(3 * pods)
	r.require(kserve, 10*pods, true)
	held := 0
	for range 4 * 60 {
		r.silence(time.Second)
		switch v, _, err := r.poll(kserve); {
		case err != nil:
			held++
			require.ErrorContains(t, err, "went silent under load")
		case held > 0:
			require.Fail(t, "a value after a hold", "%v", v)
		default:
			require.InDelta(t, 10*pods, v, 0)
		}
	}
	require.Greater(t, held, 60)
	for i := range pods {
		r.wait(step)
		r.push(fmt.Sprint(i), 10)
		r.tick()
		if i < pods-1 {
			r.holds(kserve, "for the senders to come back")
		}
	}
	r.require(kserve, 10*pods, true)

	// Some are back before all of them are forgotten.
	push(3 * pods)
	r.silence(2*time.Minute - 2*step)
	r.push("0", 10)
	r.holds(kserve, "for the senders to come back")
}

// TestTheLastSeriesEndsAfterTheOthersWentSilent: that its sender ended it says nothing
// about their load, not after a restart either.
func TestTheLastSeriesEndsAfterTheOthersWentSilent(t *testing.T) {
	for name, restart := range map[string]func(*rig) *rig{
		"":                        func(r *rig) *rig { return r },
		"and the scaler restarts": func(r *rig) *rig { return restarted(r, 30*time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{WarmUp: warmUp})
			r.wait(time.Hour)
			r.pods(10, 10, 10)
			r.require(kserve, 30, true)
			r.steps(4, func() { r.push("2", 10) })
			r.silence(50 * time.Second)
			r.end("2")
			r.silence(60 * time.Second) // the others are forgotten, the last one is not
			r = restart(r)
			r.silence(2 * time.Minute)
			r.requireHeld(kserve, "went silent under load")
		})
	}
	t.Run("not after all ended", func(t *testing.T) {
		r := newRig(t, Options{WarmUp: warmUp})
		r.wait(time.Hour)
		r.pods(10, 10)
		r.require(kserve, 20, true)
		r.end("0")
		r.goOn(2 * step)
		r.end("1")
		r.silence(3 * time.Minute)
		r.requireCause(kserve, 0, false, causeEnded)
	})
}
