package scaler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// ErrUnknown is wrapped for a ScaledObject that KEDA has not asked about.
var ErrUnknown = errors.New("KEDA has not asked about this ScaledObject")

// MaxShown bounds the triggers of one ScaledObject that are shown.
const MaxShown = 16

// Answer is what the scaler answers KEDA: a value, or an error, by which KEDA
// holds.
type Answer struct {
	At       time.Time
	Cause    string
	Current  *float64 // the query's value of the series that push; nil if it has none
	Value    float64  // before clamping
	Reported float64  // after it
	Active   bool
	Error    string // not empty if KEDA holds
	Warning  string // what is wrong although there is a value
	Desired  int64  // replicas: Reported / target, rounded up
}

// Trigger is a trigger as stored, with a copy of everything. If it is explained, it
// also has what its answer would be now, and what that is made of.
type Trigger struct {
	Metadata    Metadata
	Told        *Answer // the last decision; nil if KEDA has only asked for the target
	AskedAt     time.Time
	Asked       []Asked
	Peers       []Peer // the one that asked last first, maxPeers at most
	Streams     int
	Transitions []Transition // the newest first
	Failures    []Failure    // the newest first
	Results     []Result     // the oldest first

	Evaluated   string // the query as evaluated
	Now         Answer
	Explanation *query.Explanation // nil if there is none
}

// View is a ScaledObject as stored.
type View struct {
	Object
	At       time.Time // of the view
	Triggers []Trigger // the one that was asked about last first, MaxShown at most
	Total    int       // triggers that there are
	Refusal  *Refusal  // the last, if no trigger was asked about since

	states []*state // of the triggers
}

// Remembered returns what is stored of a ScaledObject, evaluating nothing. The
// error wraps ErrUnknown.
func (s *Server) Remembered(object Object) (View, error) {
	states := s.objects.of(object)
	v := View{Object: object, At: s.opts.Now(), Total: len(states), states: states[:min(len(states), MaxShown)]}
	refusal, refused := s.objects.refused.Peek(object)
	if len(states) == 0 && !refused {
		return v, fmt.Errorf("%w: %s", ErrUnknown, object)
	}
	if refused && (len(states) == 0 || !refusal.At.Before(states[0].askedAt())) {
		v.Refusal = &refusal
	}
	for _, st := range v.states {
		v.Triggers = append(v.Triggers, st.view())
	}
	return v, nil
}

// view copies what is stored.
func (st *state) view() Trigger {
	t := st.trigger.Load()
	shown := Trigger{
		Metadata: *t,
		Streams:  int(st.streams.Load()),
	}
	st.calls.mu.Lock()
	shown.AskedAt, shown.Peers = st.calls.last, reversed(st.calls.peers)
	shown.Asked = slices.DeleteFunc(slices.Clone(st.calls.byRPC[:]), func(a Asked) bool { return a.Count == 0 })
	st.calls.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if d := st.last.Load(); d != nil {
		shown.Told = new(t.answer(d, st.plan))
	}
	h := &st.history
	shown.Transitions, shown.Failures, shown.Results = reversed(h.transitions), reversed(h.failures), slices.Clone(h.results)
	return shown
}

func reversed[T any](all []T) []T {
	all = slices.Clone(all)
	slices.Reverse(all)
	return all
}

// answer is a decision with what the HPA makes of it.
func (t *Metadata) answer(d *decision, plan *query.Plan) Answer {
	out := Answer{At: time.UnixMilli(d.at), Cause: string(d.cause), Active: d.active, Warning: d.warning}
	if !math.IsNaN(d.current) {
		out.Current = &d.current
	}
	if _, err := t.metricValue(d, plan); err != nil {
		if d.err == nil {
			out.Cause = string(causeHoldFailed)
		}
		out.Error = brief(strings.ReplaceAll(err.Error(), plan.String(), "the query"))
		return out
	}
	out.Value, out.Reported = d.value, t.reported(d.value)
	if t.clamp(d.value) < 0 {
		out.warn("the value is negative, which KEDA reads as 0")
	}
	out.Desired = int64(math.Ceil(out.Reported / t.Target))
	return out
}

// warn adds a warning.
func (a *Answer) warn(format string, args ...any) {
	a.Warning = strings.TrimPrefix(a.Warning+"; "+fmt.Sprintf(format, args...), "; ")
}

// Explain returns what is stored of a ScaledObject and what its decisions are made
// of, with at most limit series for each selector. The error wraps ErrUnknown.
func (s *Server) Explain(ctx context.Context, object Object, limit int) (View, error) {
	v, err := s.Remembered(object)
	if err != nil {
		return v, err
	}
	for i, st := range v.states {
		d, err := s.current(ctx, st)
		if err != nil {
			return v, err
		}
		t := &v.Triggers[i]
		t.Evaluated, t.Now = st.plan.String(), st.trigger.Load().answer(d, st.plan)
		if lag := time.Duration(st.lag.Load()) * time.Millisecond; lag > tick {
			t.Now.warn("queries are so expensive that the scaler evaluates this one %v after its series change, and its floors are coarser", lag)
		}
		t.Explanation, _ = st.plan.Explain(ctx, limit) // which fails if the query can't be evaluated
		if t.Explanation != nil && t.Explanation.Unlisted {
			t.Now.warn("the store rejects more series of the query than it lists, so the value may be too low")
		}
		if err := ctx.Err(); err != nil {
			return v, err
		}
	}
	return v, nil
}

// followPause is how long a follower waits after a change: what it shows is for
// people, and is made from all of an object's series.
const followPause = 100 * time.Millisecond

// Follow sends a ScaledObject's view now, and after each change of a decision,
// until send fails, ctx is done, or the server stops, which is no error. The
// error wraps ErrUnknown if the object is not known, or no longer.
func (s *Server) Follow(ctx context.Context, object Object, limit int, send func(View) error) error {
	changed, stop := s.objects.watchers.watch(object)
	defer stop()
	for sent := ""; ; {
		v, err := s.Explain(ctx, object, limit)
		if err != nil {
			return err
		}
		if now := v.digest(); now != sent {
			if err := send(v); err != nil {
				return err
			}
			sent = now
		}
		if !wait(ctx, s.stopped, time.After(followPause)) || !wait(ctx, s.stopped, changed) {
			return ctx.Err()
		}
	}
}

// digest is what must differ for a view to be news.
func (v *View) digest() string {
	out := fmt.Sprint(v.Refusal != nil)
	for i := range v.Triggers {
		a := v.Triggers[i].Now
		out += fmt.Sprint(" ", v.Triggers[i].Metadata.Target, a.Cause, a.Value, a.Active, a.Error, a.Warning)
	}
	return out
}
