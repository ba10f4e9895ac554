package scaler

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// want is what a row of a decision table expects.
type want struct {
	value  float64
	active bool
	cause  cause
	held   bool // the error wraps ErrHeld
	says   string
	warns  string
}

// decisionRow is a situation with what is decided in it.
type decisionRow struct {
	rule string // quotes docs/ARCHITECTURE.md, Decisions
	s    situation
	want want
}

// The parts of situations. The activation target is 2.
var (
	errTooOld = fmt.Errorf("%w: an hour", query.ErrTooOld)
	errLimit  = errors.New("the store rejects new series of x: series limit reached")
	errBoom   = errors.New("boom")
)

func is(v float64) query.Value { return query.Value{State: query.HasValue, V: v} }
func num(v float64) number     { return number{v, true} }
func filtered() query.Value    { return query.Value{State: query.Filtered} }
func none() query.Value        { return query.Value{} }
func policy(p OnMissing, v float64) *Metadata {
	return &Metadata{Activation: 2, Missing: Missing{p, v}}
}

// goalRows are all combinations of the table in section Goal.
func goalRows() []decisionRow {
	s := func(monotone bool, floor, carried number, current query.Value) situation {
		return situation{lost: 1, monotone: monotone, floor: floor, carried: carried, current: current}
	}
	no := number{}
	loss := func(v float64) want {
		return want{value: v, active: v > 2, cause: causeLoss, warns: "1 series with load went silent or were ended"}
	}
	hold := func(active bool) want {
		return want{cause: causeHoldSilent, held: true, active: active, says: "their load is unknown"}
	}
	return []decisionRow{
		{"a complete result is reported as it is", situation{current: is(30), floor: num(99), carried: num(99)}, want{value: 30, active: true, cause: causeValue}},
		{"an empty complete result is 0", situation{current: filtered()}, want{cause: causeFiltered}},

		{"monotone: max(current, min(floor, carried)): carried decides", s(true, num(50), num(40), is(30)), loss(40)},
		{"monotone: max(current, min(floor, carried)): floor decides", s(true, num(40), num(50), is(30)), loss(40)},
		{"monotone: max(current, min(floor, carried)): current decides, so that nothing is named incomplete", s(true, num(30), num(20), is(40)), want{value: 40, active: true, cause: causeValue}},
		{"monotone: current equals the bound: nothing is named incomplete", s(true, num(40), num(50), is(40)), want{value: 40, active: true, cause: causeValue}},
		{"monotone: max(current, min(floor, carried)) without current", s(true, num(50), num(40), none()), loss(40)},
		{"monotone: no carried: max(current, floor)", s(true, num(50), no, is(30)), loss(50)},
		{"monotone: no carried: max(current, floor): current decides", s(true, num(20), no, is(30)), want{value: 30, active: true, cause: causeValue}},
		{"monotone: no carried and no current: floor", s(true, num(50), no, none()), loss(50)},
		{"monotone: no floor: max(current, carried)", s(true, no, num(40), is(30)), loss(40)},
		{"monotone: no floor and no current: carried", s(true, no, num(40), none()), loss(40)},
		{"monotone: no floor and nothing carried: hold, active by the current value", s(true, no, no, is(30)), hold(true)},
		{"monotone: no floor, nothing carried, no current: hold", s(true, no, no, none()), hold(false)},

		{"any other: max(floor, carried): floor decides", s(false, num(50), num(40), is(30)), loss(50)},
		{"any other: max(floor, carried): carried decides", s(false, num(40), num(50), is(30)), loss(50)},
		{"any other: max(floor, carried): even where current is higher", s(false, num(40), num(50), is(60)), loss(50)},
		{"any other: max(floor, carried) without current", s(false, num(50), num(40), none()), loss(50)},
		{"any other: no carried: floor", s(false, num(50), no, is(30)), loss(50)},
		{"any other: no carried and no current: floor", s(false, num(50), no, none()), loss(50)},
		{"any other: no floor: carried", s(false, no, num(40), is(30)), loss(40)},
		{"any other: no floor and no current: carried", s(false, no, num(40), none()), loss(40)},
		{"any other: no floor and nothing carried: hold, without activity", s(false, no, no, is(30)), hold(false)},
		{"any other: no floor, nothing carried, no current: hold", s(false, no, no, none()), hold(false)},

		{"during a hold, active if a monotone current value exceeds the activation target: it equals it", s(true, no, no, is(2)), hold(false)},
		{"during a hold, active if a monotone current value exceeds the activation target: filtered", s(true, no, no, filtered()), hold(false)},
	}
}

// missingRows are the rows of the table of what counts as missing.
func missingRows() []decisionRow {
	until := time.Unix(1000, 0)
	return []decisionRow{
		{"it is late: lost", situation{lost: 1, monotone: true, floor: num(9), carried: num(9), current: is(5)}, want{value: 9, active: true, cause: causeLoss}},
		{"it is late: its last value adds nothing: the last values count", situation{silent: true, current: is(0)}, want{cause: causeInactive}},
		{"a series ended by staleness marker: all ended, and added nothing", situation{silent: true, ended: true, current: is(0)}, want{cause: causeEnded}},
		{"a series ended by staleness marker: until forgotten if all ended together", situation{absent: true, seen: true, ended: true, active: true}, want{cause: causeEnded}},
		{"when a lost series is forgotten: under load", situation{absent: true, seen: true, active: true}, want{cause: causeHoldSilent, held: true, says: "went silent under load"}},
		{"when a lost series is forgotten: without load", situation{absent: true, seen: true}, want{cause: causeInactive}},
		{"all series were lost together and forgotten, then some return: as just started", situation{warmUp: until, seen: true, active: true, monotone: true, current: is(5)}, want{cause: causeHoldWarmUp, held: true, active: true, says: "of what has been pushed the query is 5"}},

		{"the missing operand can only add: it counts as nothing, and a warning names the selector", situation{monotone: true, missing: []string{"sum(wait)"}, current: is(30)}, want{value: 30, active: true, cause: causeOperand, warns: "no series matches sum(wait)"}},
		{"the missing operand can only add, and series are lost", situation{lost: 1, monotone: true, missing: []string{"wait"}, floor: num(40), carried: num(35), current: is(30)}, want{value: 35, active: true, cause: causeLoss, warns: "1 series"}},
		{"the missing operand can only add, and current decides", situation{lost: 1, monotone: true, missing: []string{"wait"}, floor: num(30), carried: num(30), current: is(30)}, want{value: 30, active: true, cause: causeValue, warns: "no series matches wait"}},
		{"elsewhere: hold and name it", situation{needed: []string{"capacity", "b"}, monotone: true, current: none()}, want{cause: causeHoldOperand, held: true, says: "no series matches capacity, b"}},
		{"elsewhere: hold and name it, whatever is lost", situation{needed: []string{"capacity"}, lost: 1, floor: num(9), carried: num(9)}, want{cause: causeHoldOperand, held: true, says: "capacity"}},
		{"an optional selector that never matched is not missing", situation{current: is(1)}, want{value: 1, cause: causeValue}},
		{"a selector emptied only by series that added nothing counts with their last values", situation{monotone: true, current: is(30)}, want{value: 30, active: true, cause: causeValue}},

		{"a comparison removed the result: 0 if the compared operand has a value", situation{current: filtered()}, want{cause: causeFiltered}},
		{"a comparison removed the result: otherwise incomplete", situation{current: none()}, want{cause: causeHoldSamples, held: true, says: "at least two samples"}},
		{"a comparison removed the result: otherwise incomplete: the last complete value", situation{current: none(), floor: num(7)}, want{value: 7, active: true, cause: causeWindow, warns: "the query has no value of the series that are there"}},
		{"a comparison removed the result of what is there: the lost series count", situation{lost: 1, monotone: true, current: filtered(), floor: num(9), carried: num(9)}, want{value: 9, active: true, cause: causeLoss}},

		{"data does not cover a window: the last complete value", situation{uncovered: 2, monotone: true, floor: num(100), current: is(12)}, want{value: 100, active: true, cause: causeWindow, warns: "2 series have no data for the whole window"}},
		{"data does not cover a window: the last complete value, and carried is no bound then", situation{uncovered: 2, lost: 1, monotone: true, floor: num(100), carried: num(20), current: is(12)}, want{value: 100, active: true, cause: causeLoss}},
		{"data does not cover a window, and series are lost: no complete value: hold", situation{uncovered: 2, lost: 1, monotone: true, carried: num(20)}, want{cause: causeHoldSilent, held: true}},
		{"data does not cover a window: current is more", situation{uncovered: 2, monotone: true, floor: num(10), current: is(12)}, want{value: 12, active: true, cause: causeValue}},
		{"data does not cover a window: no complete value: hold", situation{uncovered: 2, monotone: true, current: is(12)}, want{cause: causeHoldSamples, held: true, active: true, says: "of what has been pushed the query is 12"}},
		{"data does not cover a window: no complete value, not monotone: hold", situation{uncovered: 2, current: is(12)}, want{cause: causeHoldSamples, held: true}},

		{"rejected by a limit: the last complete value is the floor", situation{rejected: errLimit, monotone: true, floor: num(40), current: is(10)}, want{value: 40, active: true, cause: causeRejected, warns: "series limit"}},
		{"rejected by a limit: current is more, and a warning names it", situation{rejected: errLimit, monotone: true, floor: num(40), current: is(50)}, want{value: 50, active: true, cause: causeValue, warns: "series limit"}},
		{"rejected by a limit, and series are lost: carried is no bound", situation{rejected: errLimit, lost: 2, monotone: true, floor: num(40), carried: num(20), current: is(10)}, want{value: 40, active: true, cause: causeLoss, warns: "series limit"}},
		{"rejected by a limit, and series are lost: no complete value: hold", situation{rejected: errLimit, lost: 2, monotone: true, carried: num(20), current: is(10)}, want{cause: causeHoldSilent, held: true, active: true}},
		{"rejected by a limit: no complete value: hold", situation{rejected: errLimit, monotone: true, current: is(10)}, want{cause: causeHoldRejected, held: true, active: true, says: "series limit"}},
		{"rejected by a limit: no series: hold", situation{rejected: errLimit, absent: true}, want{cause: causeHoldRejected, held: true, says: "no series matches, but"}},
		{"rejected as too old: no complete value: hold", situation{rejected: errTooOld, monotone: true, current: is(1)}, want{cause: causeHoldTooOld, held: true, says: "an hour"}},
		{"rejected as too old: no series: hold", situation{rejected: errTooOld, absent: true, seen: true, ended: true}, want{cause: causeHoldTooOld, held: true}},

		{"evaluation failed for a reason other than data: hold", situation{err: errBoom}, want{cause: causeHoldFailed, says: "boom"}},
		{"evaluation failed for a reason other than data: hold, whatever onMissing says", situation{err: errBoom, trigger: policy(Zero, 0)}, want{cause: causeHoldFailed, says: "boom"}},

		{"no matching series was ever seen: 0", situation{absent: true}, want{cause: causeNeverSeen}},
		{"no matching series was ever seen: the object was active under another query: hold", situation{absent: true, edited: true, near: "there is b"}, want{cause: causeHoldSilent, held: true, says: "the query before this one: there is b"}},
		{"no matching series was ever seen: a start without snapshot counts as activity", situation{absent: true, unknown: until}, want{cause: causeHoldWarmUp, held: true, says: "started without a snapshot at 1970-01-01T00:16:40Z"}},
		{"just started: hold for the warm-up", situation{absent: true, warmUp: until}, want{cause: causeHoldWarmUp, held: true, says: "waits until 1970-01-01T00:16:40Z"}},
		{"just started: hold for the warm-up, active by what has been pushed", situation{warmUp: until, monotone: true, current: is(3)}, want{cause: causeHoldWarmUp, held: true, active: true}},
		{"just started: hold for the warm-up, although a comparison removed the result", situation{warmUp: until, current: filtered()}, want{cause: causeHoldWarmUp, held: true, says: "no value so far"}},

		{"onMissing: zero: a value", situation{trigger: policy(Zero, 0), current: is(3)}, want{value: 3, active: true, cause: causeValue}},
		{"onMissing: zero disables floors", situation{trigger: policy(Zero, 0), lost: 1, floor: num(9), carried: num(9), current: is(3)}, want{value: 3, active: true, cause: causeValue}},
		{"onMissing: zero disables floors: nothing is left", situation{trigger: policy(Zero, 0), lost: 1, floor: num(9), carried: num(9)}, want{cause: causeOnMissing}},
		{"onMissing: zero answers in the warm-up", situation{trigger: policy(Zero, 0), warmUp: until, absent: true}, want{cause: causeOnMissing}},
		{"onMissing: zero answers for a needed operand", situation{trigger: policy(Zero, 0), needed: []string{"x"}}, want{cause: causeOnMissing}},
		{"onMissing: zero answers for rejected samples", situation{trigger: policy(Zero, 0), absent: true, rejected: errLimit}, want{cause: causeOnMissing}},
		{"onMissing: zero: a comparison removed the result", situation{trigger: policy(Zero, 0), current: filtered()}, want{cause: causeFiltered}},
		{"onMissing: value, active", situation{trigger: policy(Value, 3), absent: true}, want{value: 3, active: true, cause: causeOnMissing}},
		{"onMissing: value, inactive", situation{trigger: policy(Value, 1), absent: true}, want{value: 1, cause: causeOnMissing}},
		{"onMissing: value is no occasion where a comparison removed the result", situation{trigger: policy(Value, 9), current: filtered()}, want{cause: causeFiltered}},
		{"onMissing: value disables floors", situation{trigger: policy(Value, 9), lost: 1, floor: num(9), carried: num(9), current: is(1)}, want{value: 1, cause: causeValue}},
		{"onMissing: error: no series matches", situation{trigger: policy(Error, 0), absent: true}, want{cause: causeOnMissing, held: true, says: "onMissing: error"}},
		{"onMissing: error: its series ended", situation{trigger: policy(Error, 0), absent: true, seen: true, ended: true}, want{cause: causeOnMissing, held: true}},
		{"onMissing: error leaves floors alone", situation{trigger: policy(Error, 0), lost: 1, monotone: true, floor: num(9), carried: num(9), current: is(3)}, want{value: 9, active: true, cause: causeLoss}},

		{"a value at the activation target is inactive", situation{current: is(2)}, want{value: 2, cause: causeValue}},
		{"a negative value is inactive", situation{current: is(-1)}, want{value: -1, cause: causeValue}},
	}
}

// TestEveryRuleOfTheDecision goes through the tables of docs/ARCHITECTURE.md,
// Decisions.
func TestEveryRuleOfTheDecision(t *testing.T) {
	engine, err := query.New(query.Options{Store: store.New(store.Options{})})
	require.NoError(t, err)
	plan, err := engine.Compile(query.Scope{}, "sum(x)", query.LastOne)
	require.NoError(t, err)
	used := map[cause]bool{}
	for _, tc := range append(goalRows(), missingRows()...) {
		t.Run(tc.rule, func(t *testing.T) {
			s := tc.s
			s.plan, s.at = plan, 7
			if s.trigger == nil {
				s.trigger = policy(Hold, 0)
			}
			d := s.decide()
			used[d.cause] = true
			require.Equal(t, tc.want.cause, d.cause)
			require.Equal(t, int64(7), d.at)
			require.Equal(t, tc.want.active, d.active)
			require.Equal(t, s.current.State == query.Empty, math.IsNaN(d.current))
			if tc.want.held || tc.want.cause == causeHoldFailed {
				require.Error(t, d.err)
				require.Equal(t, tc.want.held, errors.Is(d.err, ErrHeld))
				require.ErrorContains(t, d.err, tc.want.says)
				require.False(t, d.complete)
				if tc.want.held {
					require.ErrorContains(t, d.err, "sum(x)")
				}
				return
			}
			require.NoError(t, d.err)
			require.InDelta(t, tc.want.value, d.value, 0)
			require.Contains(t, d.warning, tc.want.warns)
			require.Equal(t, tc.want.warns == "" && tc.want.cause != causeLoss, d.warning == "", d.warning)
		})
	}
	for _, c := range causes {
		require.True(t, used[c], "no row decides %s", c)
	}
}

// TestWhatADecisionLeavesForTheNext is of memory.after.
func TestWhatADecisionLeavesForTheNext(t *testing.T) {
	const retention, span = 120_000, 0
	plan := &query.Plan{}
	decided := func(m *memory, s situation) {
		s.plan = plan
		if s.trigger == nil {
			s.trigger = policy(Hold, 0)
		}
		d := s.decide()
		m.after(&s, &d, retention, span)
	}
	var m memory
	decided(&m, situation{at: 1000, current: is(5)})
	require.True(t, m.Known && m.Active)
	require.Equal(t, floor{1000, 5}, m.Complete)

	decided(&m, situation{at: 2000, trigger: policy(Zero, 0)})
	require.True(t, m.Active, "what onMissing answers tells nothing about the load")

	m.Floors.add(floor{1500, 5})
	decided(&m, situation{at: 3000, lost: 1, monotone: true, floor: num(5), carried: num(5), current: is(1)})
	require.Equal(t, floor{1000, 5}, m.Complete, "an incomplete value is no floor")
	require.Len(t, m.Floors.Entries, 1, "an entry lasts until nothing is lost")
	decided(&m, situation{at: 4000, current: is(1)})
	require.Empty(t, m.Floors.Entries)
	require.False(t, m.Active)

	decided(&m, situation{at: 5000, needed: []string{"x"}, monotone: true, current: none()})
	require.False(t, m.Active, "a hold changes nothing")
	decided(&m, situation{at: 6000, warmUp: time.Unix(9, 0), monotone: true, current: is(3)})
	require.True(t, m.Active, "but for activity that is certain")

	m.Seen = true
	decided(&m, situation{at: 200_000, absent: true, seen: true, active: true})
	require.True(t, m.Short)
	m.returning = 250_000
	decided(&m, situation{at: 249_999, current: is(3)})
	require.EqualValues(t, 250_000, m.returning)
	decided(&m, situation{at: 250_000, current: is(3)})
	require.Zero(t, m.returning)
}
