package scaler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// ErrUnknown is wrapped for a ScaledObject that KEDA has not asked about.
var ErrUnknown = errors.New("KEDA has not asked about this ScaledObject")

// MaxShown bounds the triggers of one ScaledObject that are shown.
const MaxShown = 16

// Answer is what KEDA is told: a value, or an error, by which it holds.
type Answer struct {
	At       time.Time
	Cause    string
	Value    float64 // before clamping
	Reported float64 // after it
	Active   bool
	Error    string // not empty if KEDA is told to hold
	Desired  int64  // replicas: Reported / target, rounded up
}

// Asked is how often, and when last, KEDA has asked in a way.
type Asked struct {
	RPC   string
	Count uint64
	Last  time.Time
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
	Told        *Answer // the last; nil if KEDA has only asked for the target
	AskedAt     time.Time
	Asked       []Asked
	Peers       []Peer // the one that asked last first, maxPeers at most
	Streams     int
	Transitions []Transition // the newest first
	Failures    []Failure    // the newest first
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

// Objects returns the ScaledObjects that KEDA has asked about, in order.
func (s *Server) Objects() []Object { return s.objects.all() }

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
		sum.Triggers = append(sum.Triggers, st.shown())
	}
	return sum, states, nil
}

// shown copies what is remembered.
func (st *state) shown() Trigger {
	t := st.trigger.Load()
	shown := Trigger{
		Metadata: Metadata{
			Query: t.query, Over: t.over, Target: t.target, Activation: t.activation,
			ClampMin: t.clampMin, ClampMax: t.clampMax, Missing: t.missing, Unread: t.unknown,
		},
		AskedAt: st.askedAt(),
		Peers:   st.peers.shown(),
		Streams: int(st.streams.Load()),
	}
	for by := range st.asked {
		if n := st.asked[by].count.Load(); n > 0 {
			shown.Asked = append(shown.Asked, Asked{rpcNames[by], n, time.UnixMilli(st.asked[by].last.Load())})
		}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.at.IsZero() {
		told := t.answer(st.at, st.told)
		shown.Told = &told
	}
	shown.Transitions, shown.Failures = reversed(st.transitions), reversed(st.failures)
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
func (t *trigger) answer(at time.Time, a answer) Answer {
	out := Answer{At: at, Cause: string(a.cause)}
	if a.err != nil {
		out.Error = a.err.Error()
		return out
	}
	out.Value, out.Active, out.Reported = a.value, a.active, t.clamp(a.value)
	// KEDA makes 0 of what is negative, and of a target as of the value thousandths.
	out.Desired = int64(math.Ceil(max(out.Reported, 0) / t.target))
	return out
}

// Explain tells what a ScaledObject's answers are made of, with at most limit
// series for each selector. It changes nothing that KEDA is told. The error wraps
// ErrUnknown.
func (s *Server) Explain(ctx context.Context, object Object, limit int) (View, error) {
	sum, states, err := s.remembered(object)
	v := View{Summary: sum}
	if err != nil {
		return v, err
	}
	for i, st := range states {
		e, err := s.explain(ctx, st, sum.Triggers[i], limit)
		if err != nil {
			return v, err
		}
		v.Explained = append(v.Explained, e)
	}
	return v, nil
}

func (s *Server) explain(ctx context.Context, st *state, t Trigger, limit int) (Explained, error) {
	e := Explained{Trigger: t}
	q, err := s.question(st)
	if err != nil {
		return e, err
	}
	e.Evaluated = q.plan.String()
	now := s.opts.Now()
	situation := s.situation(ctx, q, now)
	st.mu.Lock()
	situation.memory = st.memory
	st.mu.Unlock()
	a := decide(situation)
	if a.err == nil {
		if _, a.err = q.metricValue(a.value); a.err != nil {
			a.cause = causeFailed
		}
	}
	if a.err != nil {
		a.err = heldError(situation.brief(a.err))
	}
	e.Now = q.trigger.answer(now, a)
	if e.Explanation, err = q.plan.Explain(ctx, limit); err != nil {
		e.Trouble = brief(err.Error())
	}
	return e, ctx.Err()
}

// question is the one that KEDA asks.
func (s *Server) question(st *state) (*question, error) {
	q := &question{object: st.key.String(), trigger: st.trigger.Load(), state: st}
	var err error
	q.plan, err = s.opts.Queries.CompileWithin(s.Scope(st.key.Namespace), st.key.query, st.key.over)
	return q, err
}
