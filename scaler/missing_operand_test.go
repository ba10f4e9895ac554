package scaler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOperandThatCanOnlyAdd counts as nothing if no series matches it: the value is a
// lower bound, and a warning names the selector. Never 0 because of it.
func TestOperandThatCanOnlyAdd(t *testing.T) {
	both := metricQuery("sum(run) + sum(wait)")
	run := func(r *rig) { r.put("run", "0", 30) }
	t.Run("never pushed", func(t *testing.T) {
		r := newRig(t, Options{})
		r.steps(4, func() { run(r) })
		r.requireCause(both, 30, true, causeOperand)
		require.Contains(t, r.warning(both), "no series matches wait,")
		require.Equal(t, 1, r.logs.count("no series matches wait,"))
		r.put("wait", "0", 3)
		r.requireCause(both, 33, true, causeValue)
	})
	t.Run("ended", func(t *testing.T) {
		r := newRig(t, Options{})
		r.steps(4, func() { run(r); r.put("wait", "0", 3) })
		r.require(both, 33, true)
		r.steps(1, func() { run(r); r.put("wait", "0", marker) })
		r.requireCause(both, 33, true, causeLoss)
		r.steps(3, func() { run(r) })
		r.requireCause(both, 30, true, causeOperand)
		require.Contains(t, r.warning(both), "wait")
	})
	t.Run("silent at 0: its last values count", func(t *testing.T) {
		r := newRig(t, Options{})
		r.steps(4, func() { run(r); r.put("wait", "0", 0) })
		r.steps(10, func() { run(r) })
		r.requireCause(both, 30, true, causeValue)
		r.steps(20, func() { run(r) })
		r.requireCause(both, 30, true, causeOperand)
	})
	t.Run("silent under load, until forgotten", func(t *testing.T) {
		r := newRig(t, Options{})
		r.steps(4, func() { run(r); r.put("wait", "0", 3) })
		r.steps(10, func() { run(r) })
		r.requireCause(both, 33, true, causeLoss)
		r.steps(20, func() { run(r) })
		r.requireCause(both, 30, true, causeOperand)
	})
	t.Run("two deployments of which one scaled to zero", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery(`sum(run{deployment="a"}) + sum(run{deployment="b"})`)
		push := func() { r.put("run", "0", 30, "deployment", "a") }
		r.steps(4, func() { push(); r.put("run", "0", 0, "deployment", "b") })
		r.steps(1, func() { push(); r.put("run", "0", marker, "deployment", "b") })
		r.requireCause(md, 30, true, causeValue)
		r.steps(60, push)
		r.requireCause(md, 30, true, causeOperand)
		require.Contains(t, r.warning(md), `deployment="b"`)
	})
	t.Run("a gateway metric plus pod metrics at zero pods", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("sum(gateway_pending) + sum(run)")
		r.steps(4, func() { r.put("gateway_pending", "gw", 50) })
		r.requireCause(md, 50, true, causeOperand)
	})
	t.Run("a rollout whose new pods lack one of three summed metrics", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("sum(a) + sum(b) + sum(c)")
		r.steps(4, func() { r.put("a", "old", 10); r.put("b", "old", 20); r.put("c", "old", 5) })
		r.require(md, 35, true)
		r.steps(1, func() { r.put("a", "old", marker); r.put("b", "old", marker); r.put("c", "old", marker) })
		for range 60 {
			r.steps(1, func() { r.put("a", "new", 10); r.put("b", "new", 20) })
			v, active, err := r.poll(md)
			require.NoError(t, err)
			require.True(t, active)
			require.GreaterOrEqual(t, v, 30.0)
		}
		r.requireCause(md, 30, true, causeOperand)
		require.Contains(t, r.warning(md), "no series matches c,")
	})
}

// TestOperandThatIsNeeded: elsewhere (-, *, /, and, joins) hold and name it.
func TestOperandThatIsNeeded(t *testing.T) {
	for name, tc := range map[string]struct{ text, empty string }{
		"minus":            {"sum(run) - sum(other)", "other"},
		"minus, reversed":  {"sum(other) - sum(run)", "other"},
		"times":            {"sum(run) * sum(other)", "other"},
		"divided by":       {"sum(run) / sum(other)", "other"},
		"divides":          {"sum(other) / sum(run)", "other"},
		"and":              {"sum(run and on(pod) other)", "other"},
		"target_info":      {"sum(run * on(pod) group_left(version) target_info)", "target_info"},
		"scalar":           {"sum(run) * scalar(other)", "other"},
		"plus signed":      {"sum(run) + sum(deriv(other[1m]))", "other"},
		"compared":         {"sum(run) > sum(other)", "other"},
		"below a function": {"clamp_min(sum(run) - sum(other), 1)", "other"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			md := metricQuery(tc.text)
			r.steps(30, func() { r.put("run", "0", 30) })
			r.holds(md, "no series matches "+tc.empty+",")
			require.Equal(t, "hold_operand", r.cause(md))
		})
	}
	t.Run("neither operand was ever there: 0", func(t *testing.T) {
		r := newRig(t, Options{})
		r.requireCause(metricQuery("sum(run) / sum(other)"), 0, false, causeNeverSeen)
	})
	t.Run("a divisor that ended while the other continues", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("sum(used) / sum(capacity)")
		r.steps(4, func() { r.put("used", "0", 5); r.put("capacity", "0", 10) })
		r.require(md, 0.5, true)
		r.steps(1, func() { r.put("used", "0", 5); r.put("capacity", "0", marker) })
		r.require(md, 0.5, true)
		r.steps(4, func() { r.put("used", "0", 5) })
		r.holds(md, "no series matches capacity,")
	})
	t.Run("three of four capacity senders die, then used rises", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("sum(used) / sum(capacity)")
		push := func(used float64, senders int) {
			for i, pod := range []string{"0", "1", "2", "3"} {
				r.put("used", pod, used)
				if i < senders {
					r.put("capacity", pod, 10)
				}
			}
		}
		r.steps(4, func() { push(5, 4) })
		r.require(md, 0.5, true)
		for range 10 {
			r.steps(1, func() { push(5, 1) })
			r.require(md, 0.5, true)
		}
		for range 10 {
			r.steps(1, func() { push(9, 1) })
			r.require(md, 0.9, true)
		}
	})
}

// TestOptionalOperand: a selector is optional under `or` while the other side has a
// value, right of `unless`, and in absent().
func TestOptionalOperand(t *testing.T) {
	t.Run("sum(queue) + (sum(running) or vector(0)) at zero replicas", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("sum(queue) + (sum(running) or vector(0))")
		r.steps(4, func() { r.put("queue", "q", 7) })
		r.requireCause(md, 7, true, causeValue)
		r.steps(4, func() { r.put("queue", "q", 7); r.put("running", "0", 5) })
		r.requireCause(md, 12, true, causeValue)
		r.steps(4, func() { r.put("queue", "q", 7) })
		r.requireCause(md, 12, true, causeLoss) // a lost one is missing
		r.steps(1, func() { r.put("queue", "q", 7); r.put("running", "0", 0) })
		r.steps(1, func() { r.put("queue", "q", 7); r.put("running", "0", marker) })
		r.steps(30, func() { r.put("queue", "q", 7) })
		r.requireCause(md, 7, true, causeValue)
	})
	t.Run("old_name or new_name", func(t *testing.T) {
		for _, name := range []string{"old_name", "new_name"} {
			r := newRig(t, Options{})
			md := metricQuery("sum(old_name or new_name)")
			r.requireCause(md, 0, false, causeNeverSeen)
			r.steps(4, func() { r.put(name, "0", 4) })
			r.requireCause(md, 4, true, causeValue)
			r.silence(5 * time.Minute)
			r.requireHeld(md, "went silent under load")
		}
	})
	t.Run("old_name or new_name without a number", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("sum(old_name) or sum(new_name)")
		r.requireCause(md, 0, false, causeNeverSeen)
		r.steps(4, func() { r.put("new_name", "0", 4) })
		r.requireCause(md, 4, true, causeValue)
	})
	t.Run("x unless y", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("sum(x unless on(pod) y)")
		r.steps(4, func() { r.put("x", "0", 4); r.put("x", "1", 2) })
		r.requireCause(md, 6, true, causeValue)
		r.steps(4, func() { r.put("x", "0", 4); r.put("x", "1", 2); r.put("y", "1", 1) })
		r.requireCause(md, 4, true, causeValue)
	})
	t.Run("absent(x)", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("absent(x)")
		r.requireCause(md, 1, true, causeValue)
		r.steps(4, func() { r.put("x", "0", 4) })
		_, _, err := r.poll(md)
		require.NoError(t, err)
		r.require(md, 0, false)
	})
	t.Run("sum(x) or vector(0), lost under load", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("sum(x) or vector(0)")
		r.requireCause(md, 0, false, causeValue)
		r.steps(4, func() { r.put("x", "0", 4) })
		r.requireCause(md, 4, true, causeValue)
		r.silence(60 * time.Second)
		r.requireCause(md, 4, true, causeLoss)
	})
}

// TestComparison: a comparison removed the result: 0 if the compared operand has a
// value; otherwise incomplete.
func TestComparison(t *testing.T) {
	for _, text := range []string{"sum(rate(x[1m])) > 5", `histogram_quantile(0.5, sum by (le) (rate(b_bucket[1m]))) >= 0`} {
		t.Run(text, func(t *testing.T) {
			r := newRig(t, Options{})
			md := metricQuery(text)
			n := 0.0
			push := func() {
				n += 10
				r.put("x", "0", n)
				r.put("b_bucket", "0", n, "le", "1")
				r.put("b_bucket", "0", n, "le", "+Inf")
			}
			push()
			r.requireHeld(md, "at least two samples")
			require.Equal(t, "hold_insufficient_samples", r.cause(md))
			r.steps(20, push)
			v, _, err := r.poll(md)
			require.NoError(t, err)
			if text[0] == 's' {
				require.Zero(t, v)
				require.Equal(t, "filtered", r.cause(md)) // 2 is not above 5
				n += 1000
				r.steps(1, push)
				v, _, err = r.poll(md)
				require.NoError(t, err)
				require.Greater(t, v, 5.0)
			} else {
				require.InDelta(t, 0.5, v, 0)
			}
		})
	}
	t.Run("the compared operand is lost", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("sum(x) > 5")
		r.steps(4, func() { r.put("x", "0", 4); r.put("x", "1", 4) })
		r.require(md, 8, true)
		r.steps(4, func() { r.put("x", "0", 4) })
		r.requireCause(md, 8, true, causeLoss)
	})
}

// TestNotFinite: NaN and Inf are errors that name the series or the divisor.
func TestNotFinite(t *testing.T) {
	r := newRig(t, Options{})
	for text, says := range map[string][]string{
		"sum(used) / sum(capacity)": {"its divisor sum(capacity) is 0", "clamp_min(sum(capacity), 1)"},
		"sum(broken)":               {"the series ", `pod="1"`, "sum(broken >= 0)"},
	} {
		r.put("used", "0", 5)
		r.put("capacity", "0", 0)
		r.put("broken", "0", 5)
		r.put("broken", "1", nan)
		_, _, err := r.poll(metricQuery(text))
		require.Error(t, err)
		for _, s := range says {
			require.ErrorContains(t, err, s)
		}
		require.NotContains(t, err.Error(), "vector(0)")
		_, err = r.server.Answer(t.Context(), "", text)
		require.Error(t, err)
	}
	_, err := r.server.Answer(t.Context(), "", "x[5m]")
	require.ErrorContains(t, err, "is a range of samples")
}

// TestNegative: a negative value is 0 for KEDA, and explain states it.
func TestNegative(t *testing.T) {
	r := newRig(t, Options{})
	md := metricQuery("sum(x) - 10")
	r.put("x", "0", 4)
	r.require(md, 0, false)
	v, err := r.server.Explain(t.Context(), model, 1)
	require.NoError(t, err)
	require.InDelta(t, -6, v.Triggers[0].Now.Value, 0)
	require.InDelta(t, 0, v.Triggers[0].Now.Reported, 0)
	require.Contains(t, v.Triggers[0].Now.Warning, "the value is negative, which KEDA reads as 0")
}
