package scaler

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// TestWindow: data does not cover a window: incomplete until it does.
func TestWindow(t *testing.T) {
	t.Run("a range longer than the retention", func(t *testing.T) {
		r := newRig(t, Options{})
		five, ten, increase := metricQuery("sum(rate(x[5m]))"), metricQuery("sum(rate(x[10m]))"), metricQuery("sum(increase(x[10m]))")
		for _, md := range []map[string]string{five, ten, increase} {
			_, _, _ = r.poll(md) // KEDA asks before
		}
		n := 0.0
		r.steps(150, func() { n += 50; r.put("x", "0", n) })
		for _, tc := range []struct {
			md   map[string]string
			want float64
		}{{five, 10}, {ten, 10}, {increase, 6000}} {
			v, _, err := r.poll(tc.md)
			require.NoError(t, err)
			require.InEpsilon(t, tc.want, v, 0.01)
			require.Equal(t, "value", r.cause(tc.md))
		}
		too := metricQuery("sum(rate(x[20m]))")
		_, err := r.client.GetMetricSpec(t.Context(), ref(too))
		require.Equal(t, codes.InvalidArgument, status.Code(err))
		require.ErrorContains(t, err, "20m")
		require.ErrorContains(t, err, "--max-retention")
	})
	t.Run("a start without snapshot", func(t *testing.T) {
		r := newRig(t, Options{WarmUp: 2 * time.Minute})
		for _, window := range []string{"1m", "5m"} {
			md := metricQuery("sum(rate(x[" + window + "]))")
			n := 1e6
			covered := false
			for range 90 {
				r.steps(1, func() { n += 50; r.put("x", window, n) })
				v, _, err := r.poll(md)
				if err == nil {
					covered = true
					require.InEpsilon(t, 10, v, 0.1)
				}
				require.False(t, covered && err != nil)
			}
			require.True(t, covered)
			r.put("x", window, 0)
			r.silence(20 * time.Minute)
			r.server.Reset(r.store.Reset)
		}
	})
	t.Run("an outage longer than the range", func(t *testing.T) {
		for _, outage := range []time.Duration{70 * time.Second, 110 * time.Second, 10 * time.Minute} {
			r := newRig(t, Options{WarmUp: 2 * time.Minute})
			md := metricQuery("sum(rate(x[1m]))")
			n := 0.0
			push := func() { n += 500; r.put("x", "0", n); r.put("x", "1", n) }
			r.steps(60, push)
			v, _, err := r.poll(md)
			require.NoError(t, err)
			require.InEpsilon(t, 200, v, 0.02)
			r.silence(outage)
			n += 100 * outage.Seconds()
			for range 60 {
				r.steps(1, push)
				if v, _, err := r.poll(md); err == nil {
					require.InEpsilon(t, 200, v, 0.1, "after an outage of %s", outage)
				}
			}
			v, _, err = r.poll(md)
			require.NoError(t, err)
			require.InEpsilon(t, 200, v, 0.02)
		}
	})
	t.Run("a new series of a sender that is known covers it", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("sum(rate(x[1m]))")
		n := 0.0
		r.steps(30, func() { n += 50; r.put("x", "0", n) })
		r.steps(3, func() { n += 50; r.put("x", "0", n); r.put("x", "new", n) })
		_, _, err := r.poll(md)
		require.NoError(t, err)
		require.Equal(t, "value", r.cause(md))
	})
	t.Run("a loss while the window is not full", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("sum(rate(x[1m]))")
		n := 0.0
		push := func(pods int) func() {
			return func() {
				for i := range pods {
					r.put("x", fmt.Sprint(i), n+50)
				}
				n += 50
			}
		}
		r.steps(30, push(4))
		v, _, err := r.poll(md)
		require.NoError(t, err)
		require.InEpsilon(t, 40, v, 0.01)
		r.steps(18, push(3))
		r.steps(3, push(4)) // 3 is back, with a gap in its window
		for range 20 {      // until it has no gap and longer, while 2 is lost
			r.steps(1, func() {
				for _, i := range []int{0, 1, 3} {
					r.put("x", fmt.Sprint(i), n+50)
				}
				n += 50
			})
			if v, _, err := r.poll(md); err == nil {
				require.GreaterOrEqual(t, v, 39.6, r.cause(md))
			}
		}
		require.Equal(t, string(causeLoss), r.cause(md))
	})
	t.Run("an offset", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("sum(x offset 3m)")
		_, _, _ = r.poll(md)
		r.steps(60, func() { r.put("x", "0", 4) })
		r.requireCause(md, 4, true, causeValue)
	})
}

// TestRejected: a series that is not live was rejected as too old or by a limit.
func TestRejected(t *testing.T) {
	reject := func(r *rig, pod string, v float64) {
		a := r.store.Appender()
		_, err := a.Append(labels.FromStrings(labels.MetricName, "run", "namespace", "default", "pod", pod), r.now(), v)
		require.Error(t, err)
		a.Commit()
	}
	md := metricQuery("sum(run)")
	full := false
	for name, so := range map[string]store.Options{
		"the series limit": {MaxSeries: 4},
		"memory":           {Full: func() bool { return full }},
	} {
		for _, ends := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, old pods end with markers: %t", name, ends), func(t *testing.T) {
				full = false
				r := newRigWith(t, Options{}, so, query.Options{})
				r.steps(4, func() {
					for i := range 4 {
						r.put("run", fmt.Sprint(i), 10)
					}
				})
				full = true
				r.require(md, 40, true)
				for gone := range 5 {
					for i := range 8 {
						r.steps(1, func() {
							for pod := range 4 {
								switch {
								case pod >= gone:
									r.put("run", fmt.Sprint(pod), 10)
								case pod == gone-1 && i == 0 && ends:
									r.put("run", fmt.Sprint(pod), marker)
								}
							}
							for pod := range gone {
								reject(r, fmt.Sprint("new", pod), 10)
							}
							r.store.Sweep()
						})
						if v, _, err := r.poll(md); err == nil {
							require.GreaterOrEqual(t, v, 40.0, "%d of 4 are replaced", gone)
						} else {
							require.Equal(t, codes.Unavailable, status.Code(err))
						}
						if r.store.SeriesCount() < 4 {
							return // from here on the store has room
						}
					}
				}
			})
		}
	}
	t.Run("the load of a deployment that was never seen", func(t *testing.T) {
		r := newRigWith(t, Options{}, store.Options{MaxSeries: 1}, query.Options{})
		r.put("other", "0", 1)
		r.require(md, 0, false)
		reject(r, "0", 30)
		r.requireHeld(md, "series limit reached")
		require.Equal(t, "hold_rejected", r.cause(md))
		r.wait(2 * time.Minute) // it is not sent any more
		r.require(md, 0, false)
	})
	t.Run("too old, for one retention", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(9)
		r.require(kserve, 9, true)
		for range 22 {
			r.wait(step)
			require.Equal(t, store.Rejected, r.pushAt("0", -time.Hour, 9))
			r.tick()
			r.require(kserve, 9, true)
		}
		for range 6 {
			r.wait(step)
			r.pushAt("0", -time.Hour, 9)
			r.tick()
		}
		r.requireHeld(kserve, "the sender's clock is late")
		require.Equal(t, "hold_too_old", r.cause(kserve))
	})
	t.Run("more series than are listed", func(t *testing.T) {
		r := newRigWith(t, Options{}, store.Options{MaxSeries: 1}, query.Options{})
		r.put("run", "0", 1)
		r.require(md, 1, true)
		for i := range 4096 {
			reject(r, fmt.Sprint("new", i), 1)
		}
		warning := func() string {
			v, err := r.server.Explain(t.Context(), r.state(md).key.Object, 1)
			require.NoError(t, err)
			return v.Triggers[0].Now.Warning
		}
		require.NotContains(t, warning(), "than it lists")
		reject(r, "another", 1)
		require.Contains(t, warning(), "the store rejects more series of the query than it lists")
	})
	t.Run("a zero, where it counts", func(t *testing.T) {
		for text, want := range map[string]float64{`count(run == 0)`: 2, `sum(1 - run)`: 2, `sum(run)`: 0} {
			r := newRigWith(t, Options{}, store.Options{MaxSeries: 2}, query.Options{})
			md := metricQuery(text)
			r.put("run", "0", 0)
			r.put("run", "1", 0)
			r.require(md, want, want > 0)
			r.put("run", "0", marker)
			r.steps(6, func() {
				r.put("run", "1", 0)
				reject(r, "new", 0)
			})
			if want > 0 {
				r.requireCause(md, want, true, causeRejected)
			} else {
				r.requireCause(md, 0, false, causeValue)
			}
		}
	})
	t.Run("a series that is live is not missing", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(9)
		r.pushAt("0", -time.Hour, 3)
		r.requireCause(kserve, 9, true, causeValue)
	})
}

// TestNeverSeen: no matching series was ever seen.
func TestNeverSeen(t *testing.T) {
	t.Run("0 if the process is older than the warm-up and contains no activity", func(t *testing.T) {
		r := newRig(t, Options{WarmUp: 2 * time.Minute})
		r.wait(2 * time.Minute)
		r.requireCause(kserve, 0, false, causeNeverSeen)
		r.silence(time.Minute)
		r.requireCause(kserve, 0, false, causeNeverSeen)
	})
	t.Run("a start without snapshot counts as activity", func(t *testing.T) {
		r := newRig(t, Options{WarmUp: 2 * time.Minute})
		r.requireHeld(kserve, "waits until")
		r.silence(10 * time.Minute)
		r.requireHeld(kserve, "since the scaler started without a snapshot")
		r.push("0", 0)
		r.requireCause(kserve, 0, false, causeValue)
	})
	t.Run("a query that was edited so that its label matches nothing", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(5)
		r.require(kserve, 5, true)
		r.wait(step)
		edited := metricQuery(`sum(vllm:num_requests_running{deployment="huggingface-fbopt-predicter"})`)
		for range 5 {
			r.steps(1, func() { r.pushAll(5) })
			r.requireHeld(edited, `the ScaledObject was active under the query before this one`)
			r.requireHeld(edited, `there is "huggingface-fbopt-predictor"`)
		}
		require.Equal(t, 1, r.logs.count("level=WARN msg=holding"))
		n := restarted(r, time.Second)
		n.requireHeld(edited, "the query before this one")
	})
	t.Run("another trigger of the object is no edit", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(5)
		r.require(kserve, 5, true)
		r.wait(step)
		added := metricQuery("sum(other)")
		r.requireHeld(added, "the query before this one")
		r.require(kserve, 5, true) // KEDA still asks about it
		r.steps(1, func() { r.pushAll(5) })
		r.requireCause(added, 0, false, causeNeverSeen)
	})
	t.Run("a query that was edited while the object was idle", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(0)
		r.require(kserve, 0, false)
		r.wait(step)
		r.requireCause(metricQuery("sum(other)"), 0, false, causeNeverSeen)
	})
}

// TestJustStarted: without snapshot or peer, hold for the warm-up.
func TestJustStarted(t *testing.T) {
	t.Run("the first that are back are not all", func(t *testing.T) {
		r := newRig(t, Options{WarmUp: 2 * time.Minute})
		r.requireHeld(kserve, "waits until")
		r.goOn(115*time.Second, 1)
		r.requireHeldActive(kserve, "of what has been pushed the query is 1")
		r.requireHeld(with(kserve, "activationTargetValue", "1"), "of what has been pushed the query is 1")
		r.require(with(kserve, "onMissing", "zero"), 1, true)
		r.goOn(step, 1)
		r.requireCause(kserve, 1, true, causeValue)
	})
	t.Run("20 senders with gRPC's backoff, away for 150 s", func(t *testing.T) {
		r := newRig(t, Options{WarmUp: 2 * time.Minute})
		for second := range 120 {
			r.wait(time.Second)
			for i := range 20 {
				if back := 6 * i; second >= back && second%5 == i%5 {
					r.push(fmt.Sprint(i), 10)
				}
			}
			r.tick()
			if second < 119 {
				r.holds(kserve, "waits until")
			}
		}
		r.require(kserve, 200, true)
	})
}

// TestOnMissing: zero and value disable floors and answer wherever data is missing.
func TestOnMissing(t *testing.T) {
	zero, value, fail := with(kserve, "onMissing", "zero"), with(kserve, "onMissing", "value", "valueIfNotFound", "7"), with(kserve, "onMissing", "error")
	r := newRig(t, Options{})
	r.requireCause(zero, 0, false, causeOnMissing)
	r.requireHeld(fail, "onMissing: error")
	r.require(value, 7, true)
	r.pods(3, 3)
	r.goOn(20*time.Second, 3)
	r.require(kserve, 6, true)
	r.require(zero, 3, true)
	r.require(value, 3, true)
	r.require(fail, 6, true)
	r.silence(20 * time.Second)
	r.require(kserve, 6, true)
	r.require(zero, 0, false)
	r.require(value, 7, true)
	r.require(fail, 6, true)
}

// TestAnswer decides about a query under /keda as about a trigger with nothing but the
// query.
func TestAnswer(t *testing.T) {
	const text = "sum(vllm:num_requests_running)"
	answer := func(r *rig) (float64, error) { return r.server.Answer(t.Context(), "", text) }
	requireAnswer := func(r *rig, want float64) {
		t.Helper()
		v, err := answer(r)
		require.NoError(t, err)
		require.InDelta(t, want, v, 0)
	}
	r := newRig(t, Options{WarmUp: 30 * time.Second})
	_, err := answer(r)
	require.ErrorIs(t, err, ErrHeld, "just started")
	require.ErrorContains(t, err, "waits until")
	r.wait(time.Minute)
	_, err = answer(r)
	require.ErrorIs(t, err, ErrHeld, "asked in the warm-up")
	v, err := r.server.Answer(t.Context(), "", "sum(other)")
	require.NoError(t, err)
	require.Zero(t, v)
	r.pods(2, 2, 2, 2)
	requireAnswer(r, 8)
	r.goOn(20*time.Second, 2, 2)
	requireAnswer(r, 8)
	r.silence(60 * time.Second)
	requireAnswer(r, 8)
	r.silence(3 * time.Minute)
	_, err = answer(r)
	require.ErrorIs(t, err, ErrHeld)
	require.ErrorContains(t, err, "went silent under load")
	r.pods(0, 0)
	r.silence(40 * time.Second)
	requireAnswer(r, 0)
	_, err = r.server.Answer(t.Context(), "", "sum(")
	require.ErrorIs(t, err, query.ErrBadQuery)
	_, err = r.server.Answer(t.Context(), "", "vector(1) / 0")
	require.ErrorIs(t, err, query.ErrNotOneNumber)
	require.ErrorContains(t, err, "+Inf")
	require.Zero(t, r.server.Triggers())
	require.Empty(t, r.server.Objects())

	r = newRig(t, Options{Missing: Missing{Policy: Zero}})
	requireAnswer(r, 0)

	r = newRig(t, Options{NamespaceLabel: "namespace"})
	r.put("x", "0", 4)
	v, err = r.server.Answer(t.Context(), "default", "sum(x)")
	require.NoError(t, err)
	require.InDelta(t, 4, v, 0)
	v, err = r.server.Answer(t.Context(), "other", "sum(x)")
	require.NoError(t, err)
	require.Zero(t, v)

	for i := range maxQueries + 10 {
		_, err := r.server.Answer(t.Context(), "default", fmt.Sprintf("sum(x) + %d", i))
		require.NoError(t, err)
	}
	require.Equal(t, maxQueries, r.server.queries.Len())
	r.server.Tick(t.Context())
	require.Len(t, r.server.evaluator.open, maxQueries)
}
