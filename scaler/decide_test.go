package scaler

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// TestEveryBranchOfTheDecision is the table of what is said when; activation 2.
func TestEveryBranchOfTheDecision(t *testing.T) {
	empty := func(r query.Reason) error {
		return fmt.Errorf("wrapped: %w", &query.EmptyError{Query: "sum(x)", Reason: r})
	}
	was := func(active bool) memory { return memory{known: true, active: active} }
	before := func(v float64) func(query.Loss) (float64, bool) {
		return func(query.Loss) (float64, bool) { return v, true }
	}
	cannotTell := func(query.Loss) (float64, bool) { return 99, false }
	boom := errors.New("boom")
	engine, err := query.New(query.Options{Store: store.New(store.Options{})})
	require.NoError(t, err)
	plan, err := engine.Compile("sum(x)", query.LastOne)
	require.NoError(t, err)

	for _, tc := range []struct {
		name    string
		value   float64
		err     error
		missing Missing
		warming bool
		memory  memory
		before  func(query.Loss) (float64, bool)
		lost    bool
		then    func(query.Loss) (float64, bool)

		want   float64
		active bool
		cause  cause
		held   bool
	}{
		{name: "a value above the activation target", value: 3, want: 3, active: true, cause: causeValue},
		{name: "a value at the activation target", value: 2, want: 2, cause: causeValue},
		{name: "a negative value", value: -1, want: -1, cause: causeValue},
		{name: "a value while warming up", value: 2, warming: true, memory: was(false), cause: causeWarming, held: true},
		{name: "an active value while warming up", value: 3, warming: true, active: true, cause: causeWarming, held: true},
		{name: "a value while warming up, and missing data is nothing", value: 3, warming: true, missing: Missing{Policy: Zero}, want: 3, active: true, cause: causeValue},
		{name: "part is gone, and was more", value: 2, lost: true, before: before(5), want: 5, active: true, cause: causePartial},
		{name: "part is gone, and the rest has taken over", value: 6, lost: true, before: before(5), want: 6, active: true, cause: causeValue},
		{name: "part is gone, can't tell", value: 2, lost: true, before: cannotTell, want: 2, cause: causeValue},
		{name: "nothing is gone", value: 2, before: before(5), want: 2, cause: causeValue},
		{name: "onMissing: zero, part is gone", value: 2, lost: true, before: before(5), missing: Missing{Policy: Zero}, want: 2, cause: causeValue},
		{name: "onMissing: value, part is gone", value: 2, lost: true, before: before(5), missing: Missing{Value, 9}, want: 2, cause: causeValue},
		{name: "onMissing: error, part is gone", value: 2, lost: true, before: before(5), missing: Missing{Policy: Error}, want: 5, active: true, cause: causePartial},
		{name: "restored: no less than before", value: 3, warming: true, then: before(5), want: 5, active: true, cause: causeRestored},
		{name: "restored: as much as before", value: 2, warming: true, then: before(2), want: 2, cause: causeValue},
		{name: "restored: more than before", value: 6, warming: true, then: before(5), want: 6, active: true, cause: causeValue},
		{name: "restored: nothing before", value: 1, warming: true, then: cannotTell, want: 1, cause: causeValue},
		{name: "restored: part was gone before", value: 3, warming: true, then: before(4), lost: true, before: before(5), want: 5, active: true, cause: causePartial},
		{name: "restored: part is gone, but that is less", value: 3, warming: true, then: before(5), lost: true, before: before(4), want: 5, active: true, cause: causeRestored},
		{name: "restored: no value, which there was before", err: empty(query.TooFew), warming: true, then: before(5), want: 5, active: true, cause: causeRestored},
		{name: "restored: ended since", err: empty(query.Ended), warming: true, then: before(1), want: 1, cause: causeRestored},
		{name: "restored: no value, as before", err: empty(query.NeverSeen), warming: true, then: cannotTell, cause: causeWarming, held: true},
		{name: "restored: filtered, as before", err: empty(query.Filtered), warming: true, then: cannotTell, cause: causeFiltered},
		{name: "restored: filtered, which it was not before", err: empty(query.Filtered), warming: true, then: before(5), want: 5, active: true, cause: causeRestored},
		{name: "restored: onMissing: zero", err: empty(query.Gone), warming: true, then: before(5), missing: Missing{Policy: Zero}, cause: causeOnMissing},
		{name: "restored long ago", value: 3, then: before(5), want: 3, active: true, cause: causeValue},
		{name: "no finite number", err: fmt.Errorf("x: %w", query.ErrNotOneNumber), cause: causeFailed},
		{name: "no evaluation", err: boom, missing: Missing{Policy: Zero}, cause: causeFailed},

		{name: "warming up: never seen", err: empty(query.NeverSeen), warming: true, cause: causeWarming, held: true},
		{name: "warming up: filtered", err: empty(query.Filtered), warming: true, cause: causeWarming, held: true},
		{name: "warming up: ended", err: empty(query.Ended), warming: true, cause: causeWarming, held: true},
		{name: "warming up: gone", err: empty(query.Gone), warming: true, cause: causeWarming, held: true},
		{name: "warming up: too few", err: empty(query.TooFew), warming: true, cause: causeWarming, held: true},

		{name: "filtered", err: empty(query.Filtered), memory: was(true), cause: causeFiltered},
		{name: "filtered is not missing", err: empty(query.Filtered), missing: Missing{Policy: Error}, cause: causeFiltered},
		{name: "filtered is no occasion for a value", err: empty(query.Filtered), missing: Missing{Value, 9}, cause: causeFiltered},
		{name: "ended by the senders", err: empty(query.Ended), memory: was(true), cause: causeEnded},
		{name: "never seen, nothing known", err: empty(query.NeverSeen), cause: causeNeverSeen},
		{name: "freed after it was idle", err: empty(query.NeverSeen), memory: was(false), cause: causeNeverSeen},
		{name: "freed after it was busy", err: empty(query.NeverSeen), memory: was(true), cause: causeGone, held: true},
		{name: "gone when busy", err: empty(query.Gone), before: before(3), cause: causeGone, held: true},
		{name: "gone when busy, whatever was asked before", err: empty(query.Gone), memory: was(false), before: before(3), cause: causeGone, held: true},
		{name: "gone when idle", err: empty(query.Gone), memory: was(true), before: before(0), cause: causeIdle},
		{name: "gone with a load that does not activate", err: empty(query.Gone), memory: was(true), before: before(2), want: 2, cause: causeIdle},
		{name: "gone, can't tell, was busy", err: empty(query.Gone), memory: was(true), before: cannotTell, cause: causeGone, held: true},
		{name: "gone, can't tell, was idle", err: empty(query.Gone), memory: was(false), before: cannotTell, cause: causeIdle},
		{name: "gone, can't tell, nothing known", err: empty(query.Gone), before: cannotTell, cause: causeGone, held: true},
		{name: "what comes is too old", err: empty(query.TooOld), memory: was(false), cause: causeTooOld, held: true},
		{name: "too few samples", err: empty(query.TooFew), memory: was(false), cause: causeTooFew, held: true},

		{name: "onMissing: zero, gone when busy", err: empty(query.Gone), missing: Missing{Policy: Zero}, before: before(3), cause: causeOnMissing},
		{name: "onMissing: zero, warming up", err: empty(query.NeverSeen), missing: Missing{Policy: Zero}, warming: true, cause: causeOnMissing},
		{name: "onMissing: error, never seen", err: empty(query.NeverSeen), missing: Missing{Policy: Error}, cause: causeOnMissing, held: true},
		{name: "onMissing: error, ended", err: empty(query.Ended), missing: Missing{Policy: Error}, cause: causeOnMissing, held: true},
		{name: "onMissing: value, active", err: empty(query.NeverSeen), missing: Missing{Value, 3}, want: 3, active: true, cause: causeOnMissing},
		{name: "onMissing: value, not active", err: empty(query.NeverSeen), missing: Missing{Value, 1}, want: 1, cause: causeOnMissing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var lost query.Loss
			if tc.lost {
				lost.Count = 1
			}
			var restored func() (float64, bool)
			if tc.then != nil {
				restored = func() (float64, bool) { return tc.then(query.Loss{}) }
			}
			a := decide(situation{
				plan: plan, lost: lost, restored: restored,
				trigger: &trigger{activation: 2, missing: tc.missing},
				value:   tc.value, err: tc.err, warming: tc.warming, memory: tc.memory, before: tc.before,
			})
			require.Equal(t, tc.cause, a.cause)
			if tc.cause == causeFailed {
				require.ErrorIs(t, a.err, tc.err)
				require.NotErrorIs(t, a.err, ErrHeld)
				return
			}
			if tc.held {
				require.ErrorIs(t, a.err, ErrHeld)
				require.ErrorContains(t, a.err, "sum(x)")
				require.Equal(t, tc.active, a.active)
				if !tc.active {
					require.Equal(t, tc.memory, tc.memory.after(a), "holding changes nothing")
				}
				return
			}
			require.NoError(t, a.err)
			require.InDelta(t, tc.want, a.value, 0)
			require.Equal(t, tc.active, a.active)
			if tc.cause == causeOnMissing {
				require.Equal(t, tc.memory, tc.memory.after(a), "what onMissing says tells nothing about the load")
				return
			}
			require.Equal(t, memory{known: true, active: tc.active}, tc.memory.after(a))
		})
	}
}
