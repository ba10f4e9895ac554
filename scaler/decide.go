package scaler

import (
	"errors"
	"fmt"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// ErrHeld is wrapped by the errors that ask KEDA and the HPA to hold because
// data is missing that should be there.
var ErrHeld = errors.New("holding the last decision")

// cause is why an answer is as it is; the label of a metric and a word in logs.
type cause string

const (
	causeValue     cause = "value"       // the query has a value
	causeFiltered  cause = "filtered"    // a comparison in the query lets nothing through: 0
	causeNeverSeen cause = "never_seen"  // nothing has started yet: 0
	causeEnded     cause = "ended"       // the senders said that it is over: 0
	causeIdle      cause = "gone_idle"   // the series went silent when they did not activate: the value then
	causeOnMissing cause = "on_missing"  // the trigger or the default says what to answer
	causeGone      cause = "held_gone"   // the series went silent under load: hold
	causePartial   cause = "part_gone"   // some of the series did: the value from before
	causeRestored  cause = "restored"    // senders may not be back since the restart: the snapshot's value
	causeWarming   cause = "held_warm"   // the process has just started: hold
	causeTooFew    cause = "held_few"    // the functions need more samples: hold
	causeTooOld    cause = "held_old"    // what comes is older than the retention: hold
	causeFailed    cause = "held_failed" // no finite number, or no evaluation: hold
)

// answer is what to tell KEDA: a value and whether it is active, or an error. With
// an error too it may be active, if that is sure already while the value isn't.
type answer struct {
	value  float64 // before clamping
	active bool
	cause  cause
	err    error
}

// memory is what is known of a trigger's last decision.
type memory struct {
	known  bool
	active bool
}

// situation is all that a decision depends on.
type situation struct {
	trigger *trigger
	plan    *query.Plan // only its text is looked at
	at      time.Time   // of the evaluation
	value   float64
	lost    query.Loss
	err     error // of the evaluation
	warming bool  // the process has started less than the warm-up ago
	memory  memory
	// restored returns the query's value when the snapshot was taken from which the
	// process has started; nil if there was none.
	restored func() (float64, bool)
	// before returns the most that the query was just before series fell silent, if
	// that can still be told.
	before func(query.Loss) (float64, bool)
	reset  *reset // if any
}

// decide answers for a trigger. What a reset has left or let through while it was
// decided is not believed, whatever the trigger says, but for values that make it
// active.
func decide(s situation) answer {
	a := s.judge()
	if s.reset != nil { // asked last, since looking back evaluates as well
		if err := s.reset.holds(s.at); err != nil {
			return answer{cause: causeWarming, active: a.active && s.err == nil, err: err}
		}
	}
	return a
}

// judge answers for a trigger by its data. Where data is missing and the trigger does not
// say what that means:
//
//   - the process is warming up: hold; the senders may not have come back yet. If
//     those that have make it active, it is
//   - it is, but has restored a snapshot: the value then, if it is not more now.
//     What started since may push for the first time yet, so no value is no zero
//   - some series fell silent under load, the others don't make up for it: the
//     value from before, as long as the silent ones are remembered
//   - a comparison in the query lets nothing through: 0
//   - no series, but load is refused for its age: hold; a clock is wrong
//   - no series, and the last decision (if any) was inactive: 0; nothing has started
//   - no series, and the last decision was active: hold
//   - all series were ended by their senders: 0
//   - series fell silent, and the value was not active then: that value, since the
//     HPA goes by it whatever is active; 0 when nobody can tell any more
//   - series fell silent under load, or nobody can tell: hold
//   - series are there but too fresh for the query's functions: hold
func (s situation) judge() answer {
	var empty *query.EmptyError
	switch {
	case s.err == nil:
		return s.valued()
	case !errors.As(s.err, &empty):
		return answer{cause: causeFailed, err: s.err}
	}
	if a, ok := s.byPolicy(empty); ok {
		return a
	}
	if s.warming {
		if v, ok := s.then(); ok {
			return answer{value: v, active: s.trigger.active(v), cause: causeRestored}
		}
	}
	if s.warming && (s.restored == nil || empty.Reason != query.Filtered) {
		return held(causeWarming, fmt.Errorf("%w; the scaler has just started and waits for the senders to come back", empty))
	}
	switch empty.Reason {
	case query.Filtered:
		return answer{cause: causeFiltered}
	case query.Ended:
		return answer{cause: causeEnded}
	case query.NeverSeen:
		if s.memory.known && s.memory.active {
			return held(causeGone, fmt.Errorf("%w, but there was load when it last did", empty))
		}
		return answer{cause: causeNeverSeen}
	case query.TooOld:
		return held(causeTooOld, empty)
	case query.Gone:
		return s.gone(empty)
	default:
		return held(causeTooFew, empty)
	}
}

// valued answers where there is a value, of which a part may be missing. A value
// from before is better than an error: the others may have taken over the load
// and need more replicas, and a fallback has no reason to begin.
func (s situation) valued() answer {
	a := answer{value: s.value, active: s.trigger.active(s.value), cause: causeValue}
	if p := s.trigger.missing.Policy; p == Zero || p == Value {
		return a
	}
	if s.warming && s.restored == nil {
		why := held(causeWarming, fmt.Errorf("%s is %v of the senders that have pushed since the scaler started; it waits for the others to come back", s.plan, s.value))
		why.active = a.active
		return why
	}
	if s.warming {
		if v, ok := s.then(); ok && v > a.value {
			a = answer{value: v, active: s.trigger.active(v), cause: causeRestored}
		}
	}
	if s.lost.Count == 0 {
		return a
	}
	if v, ok := s.before(s.lost); ok && v > a.value {
		return answer{value: v, active: s.trigger.active(v), cause: causePartial}
	}
	return a
}

func (s situation) then() (v float64, ok bool) {
	if s.restored == nil {
		return 0, false
	}
	return s.restored()
}

// byPolicy applies onMissing. A result that a comparison has emptied is not
// missing: the data is there, and says 0.
func (s situation) byPolicy(empty *query.EmptyError) (answer, bool) {
	if empty.Reason == query.Filtered {
		return answer{}, false
	}
	switch s.trigger.missing.Policy {
	case Zero:
		return answer{cause: causeOnMissing}, true
	case Value:
		v := s.trigger.missing.Value
		return answer{value: v, active: s.trigger.active(v), cause: causeOnMissing}, true
	case Error:
		return held(causeOnMissing, fmt.Errorf("%w (onMissing: error)", empty)), true
	default:
		return answer{}, false
	}
}

func (s situation) gone(empty *query.EmptyError) answer {
	v, ok := s.before(empty.Lost)
	switch {
	case ok && s.trigger.active(v):
		return held(causeGone, fmt.Errorf("%w; the value was %v then. It goes on when they push again; onMissing: zero would make it 0", empty, v))
	case ok:
		return answer{value: v, cause: causeIdle}
	case s.memory.known && !s.memory.active:
		return answer{cause: causeIdle}
	default:
		return held(causeGone, empty)
	}
}

func held(c cause, why error) answer {
	return answer{cause: c, err: fmt.Errorf("%w: %w", ErrHeld, why)}
}

// after returns what to remember of an answer. One that holds changes nothing, if
// it is not active all the same; nor does one that onMissing put in the data's place.
func (m memory) after(a answer) memory {
	if a.err != nil && !a.active || a.cause == causeOnMissing {
		return m
	}
	return memory{known: true, active: a.active}
}
