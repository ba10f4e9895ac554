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

// Metadata is a trigger's metadata as understood.
type Metadata struct {
	Query              string
	Over               query.OverTime
	Target, Activation float64
	ClampMin, ClampMax *float64
	Missing            Missing
	Unread             []string // keys that nothing reads
}

// Trigger is what is remembered of a trigger. It is the caller's.
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
}

// Summary is a ScaledObject as remembered.
type Summary struct {
	Object
	At       time.Time // of the summary
	Triggers []Trigger // the one that was asked about last first, MaxShown at most
	Total    int       // triggers that there are
	Refusal  *Refusal  // the last, if no trigger was asked about since
}

// Explained is a trigger with what its answer would be now, and what that is
// made of.
type Explained struct {
	Trigger
	Evaluated   string // the query as evaluated
	Now         Answer
	Explanation *query.Explanation
	// Trouble is why there is no explanation.
	Trouble string
}

// View is a ScaledObject as it stands.
type View struct {
	Summary
	Explained []Explained // the summary's triggers
}

// Remembered tells what is remembered of a ScaledObject, evaluating nothing. The
// error wraps ErrUnknown.
func (s *Server) Remembered(object Object) (Summary, error) {
	sum, _, err := s.remembered(object)
	return sum, err
}

func (s *Server) remembered(object Object) (Summary, []*state, error) {
	sum := Summary{Object: object, At: s.opts.Now()}
	states := s.objects.of(object)
	refusal, refused := s.objects.refused.Peek(object)
	if len(states) == 0 && !refused {
		return sum, nil, fmt.Errorf("%w: %s", ErrUnknown, object)
	}
	if refused && (len(states) == 0 || !refusal.At.Before(states[0].askedAt())) {
		sum.Refusal = &refusal
	}
	sum.Total = len(states)
	states = states[:min(len(states), MaxShown)]
	for _, st := range states {
		sum.Triggers = append(sum.Triggers, st.view())
	}
	return sum, states, nil
}

// shown copies what is remembered.
func (st *state) view() Trigger {
	t := st.trigger.Load()
	shown := Trigger{
		Metadata: Metadata{
			Query: t.query, Over: t.over, Target: t.target, Activation: t.activation,
			ClampMin: t.clampMin, ClampMax: t.clampMax, Missing: t.missing, Unread: t.unknown,
		},
		AskedAt: st.askedAt(),
		Streams: int(st.streams.Load()),
	}
	st.calls.mu.Lock()
	shown.Peers = reversed(st.calls.peers)
	shown.Asked = slices.DeleteFunc(slices.Clone(st.calls.byRPC[:]), func(a Asked) bool { return a.Count == 0 })
	st.calls.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if d := st.last.Load(); d != nil {
		told := t.answer(d, st.plan)
		shown.Told = &told
	}
	h := &st.history
	shown.Transitions, shown.Failures, shown.Results = reversed(h.transitions), reversed(h.failures), slices.Clone(h.results)
	return shown
}

func reversed[T any](all []T) []T {
	out := make([]T, len(all))
	for i, v := range all {
		out[len(all)-1-i] = v
	}
	return out
}

// answer is a decision with what the HPA makes of it.
func (t *trigger) answer(d *decision, plan *query.Plan) Answer {
	out := Answer{At: time.UnixMilli(d.at), Cause: string(d.cause), Active: d.active, Warning: d.warning}
	if !math.IsNaN(d.current) {
		out.Current = &d.current
	}
	err := d.err
	if err == nil {
		_, err = t.metricValue(d.value, plan)
	}
	if err != nil {
		if d.err == nil {
			out.Cause = string(causeHoldFailed)
		}
		out.Error = brief(strings.ReplaceAll(err.Error(), plan.String(), "the query"))
		return out
	}
	out.Value, out.Reported = d.value, t.reported(d.value)
	if t.clamp(d.value) < 0 {
		out.Warning = strings.TrimPrefix(out.Warning+"; the value is negative, which KEDA reads as 0", "; ")
	}
	out.Desired = int64(math.Ceil(out.Reported / t.target))
	return out
}

// Explain tells what a ScaledObject's decisions are made of, with at most limit
// series for each selector. The error wraps ErrUnknown.
func (s *Server) Explain(ctx context.Context, object Object, limit int) (View, error) {
	sum, states, err := s.remembered(object)
	v := View{Summary: sum}
	if err != nil {
		return v, err
	}
	for i, st := range states {
		d, err := s.current(ctx, st)
		if err != nil {
			return v, err
		}
		e := Explained{Trigger: sum.Triggers[i], Evaluated: st.plan.String(), Now: st.trigger.Load().answer(d, st.plan)}
		if e.Explanation, err = st.plan.Explain(ctx, limit); err != nil {
			e.Trouble = brief(err.Error())
		}
		if err := ctx.Err(); err != nil {
			return v, err
		}
		v.Explained = append(v.Explained, e)
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
	var out strings.Builder
	fmt.Fprint(&out, v.Refusal != nil)
	for i := range v.Explained {
		a := v.Explained[i].Now
		fmt.Fprint(&out, " ", v.Explained[i].Metadata.Target, a.Cause, a.Value, a.Active, a.Error, a.Warning)
	}
	return out.String()
}
