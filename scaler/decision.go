package scaler

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// ErrHeld is wrapped by the errors that ask KEDA and the HPA to hold because
// data is missing that should be there.
var ErrHeld = errors.New("holding the last decision")

// cause is why a decision is as it is; the label of a metric and a word in logs.
type cause string

const (
	causeValue     cause = "value"           // the query's value
	causeFiltered  cause = "filtered"        // a comparison in the query removed the value: 0
	causeNeverSeen cause = "never_seen"      // no series was ever pushed: 0
	causeEnded     cause = "ended"           // the senders ended all series: their last values, or 0
	causeInactive  cause = "silent_inactive" // all series are silent, and had no load: their last values, or 0
	causeOnMissing cause = "on_missing"      // onMissing of the trigger or the server decides
	causeOperand   cause = "missing_operand" // an operand that can only add matches nothing: the value without it
	causeLoss      cause = "partial_loss"    // series are lost: the value with them, as far as the load has not moved
	causeWindow    cause = "partial_window"  // data does not cover the window: the last complete value
	causeRejected  cause = "partial_rejected"

	causeHoldSilent   cause = "hold_silent"               // all series under load are silent and forgotten
	causeHoldWarmUp   cause = "hold_warmup"               // the senders may not be back yet
	causeHoldSamples  cause = "hold_insufficient_samples" // the query's functions need more samples
	causeHoldTooOld   cause = "hold_too_old"              // samples are rejected as too old
	causeHoldRejected cause = "hold_rejected"             // a limit rejects series
	causeHoldOperand  cause = "hold_operand"              // an operand matches nothing, and can do more than add
	causeHoldFailed   cause = "hold_failed"               // no finite number, or no evaluation
)

// causes are all of them, in the order in which the docs list them.
var causes = []cause{
	causeValue, causeFiltered, causeNeverSeen, causeEnded, causeInactive, causeOnMissing,
	causeOperand, causeLoss, causeWindow, causeRejected,
	causeHoldSilent, causeHoldWarmUp, causeHoldSamples, causeHoldTooOld, causeHoldRejected, causeHoldOperand, causeHoldFailed,
}

// decision is what the scaler answers KEDA: a value and whether it is active, or
// an error. With an error the trigger is active too, if that is sure already while
// the value isn't.
type decision struct {
	at, until int64   // when it was made, and up to when it holds if nothing changes; ms
	value     float64 // reported, before clamping
	current   float64 // of the series that push; NaN without a value
	active    bool
	complete  bool // everything that the query reads was there
	cause     cause
	warning   string // what is wrong although there is a value
	err       error

	number uint64        // of the evaluation, among the trigger's
	reader *query.Reader // that notices changes; nil if there is none
	cost   time.Duration // of the evaluation
}

// number is a value that may not be there.
type number struct {
	v  float64
	ok bool
}

// situation is all that a decision depends on.
type situation struct {
	trigger *Metadata
	plan    *query.Plan // only its texts are looked at
	at      int64       // ms
	err     error       // of the evaluation

	// What is missing.
	absent    bool     // no selector matches anything
	ended     bool     // and what was there was ended by its senders
	silent    bool     // only series without load are there
	lost      int      // series
	uncovered int      // series
	rejected  error    // why samples are rejected that match
	missing   []string // selectors that match nothing, and can only add
	needed    []string // selectors that match nothing, and can do more

	// The numbers.
	monotone bool
	current  query.Value // of the series that are not lost
	carried  number      // of these and the lost ones
	floor    number      // the highest entry, or the last complete value

	// The past.
	fading  bool      // no series pushes, and some of those that pushed last are forgotten
	seen    bool      // the trigger had series
	active  bool      // and was active when that was known last, or that was never known
	edited  bool      // the ScaledObject was active under another query, which KEDA no longer asks about
	near    string    // what the selectors miss then, with the nearest values
	unknown time.Time // when the scaler started without a snapshot, if KEDA asked before the warm-up was over
	warmUp  time.Time // until when senders are given the time to come back; zero if they are not

	stale bool // an evaluation in hindsight failed, and is to be tried again
}

// decide answers for a trigger by the rules of docs/ARCHITECTURE.md, Decisions: a
// complete result is reported as it is. An incomplete one is reported as no less
// than it was when everything was there, or held.
func (s *situation) decide() decision {
	d := decision{at: s.at, current: math.NaN()}
	if s.current.State != query.Empty {
		d.current = s.current.V
	}
	switch policy := s.trigger.Missing.Policy; {
	case s.err != nil:
		d.cause, d.err = causeHoldFailed, s.err
		return d
	case policy == Zero || policy == Value:
		return s.withoutFloors(d)
	case !s.warmUp.IsZero():
		return s.hold(d, causeHoldWarmUp, "the scaler waits until %s for the senders to come back; %s", s.warmUp.UTC().Format(time.RFC3339), s.soFar())
	case s.absent:
		return s.nothing(d)
	case s.fading:
		return s.hold(d, causeHoldSilent, "the series went silent under load one retention ago, and the load of those that are stored is only a part. "+
			"KEDA goes on when they push again; onMissing: zero would report 0")
	case len(s.needed) > 0:
		return s.hold(d, causeHoldOperand, "no series matches %s, and without it the query has no value, though its other operands have series: "+
			"push it, take it out of the query, or write (... or vector(0)) around it if 0 is right", strings.Join(s.needed, ", "))
	case s.lost == 0 && s.uncovered == 0 && s.rejected == nil && s.current.State != query.Empty:
		return s.whole(d)
	default:
		return s.partial(d)
	}
}

// withoutFloors answers where the trigger itself says what missing data means.
func (s *situation) withoutFloors(d decision) decision {
	switch s.current.State {
	case query.HasValue:
		return s.report(d, causeValue, s.current.V)
	case query.Filtered:
		return s.report(d, causeFiltered, 0)
	}
	if s.trigger.Missing.Policy == Zero {
		return s.report(d, causeOnMissing, 0)
	}
	return s.report(d, causeOnMissing, s.trigger.Missing.Value)
}

// whole answers where everything is there that the query needs.
func (s *situation) whole(d decision) decision {
	d.complete = true
	switch {
	case s.current.State == query.Filtered:
		return s.report(d, causeFiltered, 0)
	case len(s.missing) > 0:
		d.warning = s.lowerBound()
		return s.report(d, causeOperand, s.current.V)
	case s.silent && s.ended:
		return s.report(d, causeEnded, s.current.V)
	case s.silent:
		return s.report(d, causeInactive, s.current.V)
	}
	return s.report(d, causeValue, s.current.V)
}

// nothing answers where no series is there that the query needs. A load that was
// there when series were there last may be there still, if their senders did not
// end them.
func (s *situation) nothing(d decision) decision {
	switch {
	case s.trigger.Missing.Policy == Error:
		return s.hold(d, causeOnMissing, "no series matches (onMissing: error)")
	case s.rejected != nil:
		return s.hold(d, s.rejection(), "no series matches, but %w", s.rejected)
	case s.seen && s.ended:
		return s.report(d, causeEnded, 0)
	case s.seen && s.active:
		return s.hold(d, causeHoldSilent, "the series went silent under load, or before their load was known, and none has pushed since. KEDA goes on when they push again; onMissing: zero would report 0")
	case s.seen:
		return s.report(d, causeInactive, 0)
	case s.edited:
		return s.hold(d, causeHoldSilent, "no series matches, but the ScaledObject was active under the query before this one: %s", s.near)
	case !s.unknown.IsZero():
		return s.hold(d, causeHoldWarmUp, "no series has matched since the scaler started without a snapshot at %s, so nobody knows whether there is load. "+
			"The first push decides; onMissing: zero would report 0", s.unknown.UTC().Format(time.RFC3339))
	}
	return s.report(d, causeNeverSeen, 0)
}

// partial answers where something is missing.
func (s *situation) partial(d decision) decision {
	v, ok := s.bound()
	why := causeLoss
	switch {
	case s.lost > 0:
	case s.rejected != nil:
		why = causeRejected
	default:
		why = causeWindow
	}
	if why != causeLoss || !s.onlyLost() { // there is load that is not known, so nothing deactivates
		ok = ok && s.trigger.active(v)
	}
	switch {
	case ok && s.current.State != query.Empty && v == s.current.V:
		switch {
		case len(s.missing) > 0:
			d.warning = s.lowerBound()
		case s.rejected != nil:
			d.warning = s.rejected.Error()
		}
		return s.report(d, causeValue, v)
	case ok:
		d.warning = s.incomplete()
		return s.report(d, why, v)
	case s.lost > 0:
		return s.hold(d, causeHoldSilent, "%s, and their load is unknown", s.incomplete())
	case s.rejected != nil:
		return s.hold(d, s.rejection(), "%w", s.rejected)
	case s.uncovered > 0:
		return s.hold(d, causeHoldSamples, "%s; %s", s.incomplete(), s.soFar())
	}
	return s.hold(d, causeHoldSamples, "the series are there, but the query has no value: a range needs at least two samples (widen it to several push intervals), "+
		"and the labels on both sides of an operator must match")
}

// onlyLost tells whether nothing is missing but series that are lost.
func (s *situation) onlyLost() bool { return s.uncovered == 0 && s.rejected == nil }

// bound returns what the query's value is at least, as far as that is known. Where
// more is missing than lost series, what is carried is no bound by itself.
func (s *situation) bound() (v float64, ok bool) {
	base, onlyLost := s.floor, s.onlyLost()
	switch {
	case !s.carried.ok || !base.ok && !onlyLost:
	case !base.ok, !s.monotone && s.carried.v > base.v:
		base = s.carried
	case s.monotone && onlyLost:
		base.v = min(base.v, s.carried.v) // load that moved counts once
	}
	if base.ok && s.monotone && s.current.State != query.Empty {
		base.v = max(base.v, s.current.V)
	}
	return base.v, base.ok
}

// lowerBound names the operands that match nothing.
func (s *situation) lowerBound() string {
	return fmt.Sprintf("no series matches %s, which counts as nothing: the value is a lower bound", strings.Join(s.missing, ", "))
}

// incomplete tells what is missing.
func (s *situation) incomplete() string {
	var all []string
	if s.lost > 0 {
		all = append(all, fmt.Sprintf("%d series with load went silent or were ended", s.lost))
	}
	if s.uncovered > 0 {
		all = append(all, fmt.Sprintf("%d series have no data for the whole window of the query", s.uncovered))
	}
	if s.rejected != nil {
		all = append(all, s.rejected.Error())
	}
	if len(all) == 0 {
		all = append(all, "the query has no value of the series that are there")
	}
	return strings.Join(all, "; ")
}

// soFar tells what the query is without what is missing.
func (s *situation) soFar() string {
	if s.current.State != query.HasValue {
		return "the query has no value so far"
	}
	return fmt.Sprintf("of what has been pushed the query is %v", s.current.V)
}

func (s *situation) rejection() cause {
	if errors.Is(s.rejected, query.ErrTooOld) {
		return causeHoldTooOld
	}
	return causeHoldRejected
}

func (s *situation) report(d decision, c cause, v float64) decision {
	d.cause, d.value, d.active = c, v, s.trigger.active(v)
	return d
}

// hold is active all the same where a lower bound is.
func (s *situation) hold(d decision, c cause, format string, args ...any) decision {
	d.cause = c
	d.err = fmt.Errorf("%w: %s: %w", ErrHeld, s.plan, fmt.Errorf(format, args...))
	d.active = s.monotone && s.current.State == query.HasValue && s.trigger.active(s.current.V)
	return d
}
