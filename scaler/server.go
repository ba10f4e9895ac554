package scaler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// MaxTriggers bounds the triggers whose last decision is remembered; the one
// asked for longest ago goes first.
const MaxTriggers = 100_000

// Options configure a Server. Zero means the default in brackets.
type Options struct {
	Queries    *query.Engine
	WarmUp     time.Duration // after the start, during which missing data means hold (0)
	Missing    Missing       // for triggers that don't say (Hold)
	MaxStreams int           // open streams in all (100,000)
	MaxListed  int           // triggers with metrics of their own; the others are counted (0)
	// NamespaceLabel is the label that must have a ScaledObject's namespace for
	// its query to see a series (none: all are seen).
	NamespaceLabel string
	Logger         *slog.Logger // one line per change of a trigger's state (nowhere)
	Registerer     prometheus.Registerer
	Now            func() time.Time // must be the store's clock (time.Now)
}

// Server implements KEDA's externalscaler.ExternalScaler.
type Server struct {
	pb.UnimplementedExternalScalerServer
	opts     Options
	started  time.Time
	taken    time.Time // when the snapshot was taken that was restored; zero if none was
	whole    time.Time // when everybody was there last, before that or then
	triggers *lru.Cache[triggerKey, *state]
	objects  objects // the same triggers, by their ScaledObjects
	metrics  *metrics
	slots    chan struct{} // one taken for each open stream
	reset    reset

	stopOnce sync.Once
	stopped  chan struct{}
}

// New returns a server, which counts its warm-up from now.
func New(o Options) (*Server, error) {
	if o.MaxStreams <= 0 {
		o.MaxStreams = 100_000
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{
		opts:    o,
		started: o.Now(),
		objects: newObjects(),
		metrics: newMetrics(o.Registerer),
		slots:   make(chan struct{}, o.MaxStreams),
		stopped: make(chan struct{}),
	}
	var err error
	if s.triggers, err = lru.NewWithEvict(MaxTriggers, s.objects.evictedLocked); err != nil {
		return nil, fmt.Errorf("memory of %d triggers: %w", MaxTriggers, err)
	}
	s.objects.listed = newListed(s, o.MaxListed)
	if o.Registerer != nil {
		if err := o.Registerer.Register(s.objects.listed); err != nil {
			return nil, fmt.Errorf("registering the triggers' metrics: %w", err)
		}
	}
	return s, nil
}

// Streams returns how many of KEDA's streams are open, of MaxStreams.
func (s *Server) Streams() int { return len(s.slots) }

// Triggers returns how many triggers are remembered, of MaxTriggers.
func (s *Server) Triggers() int { return s.triggers.Len() }

// Register puts the service on a gRPC server.
func (s *Server) Register(g grpc.ServiceRegistrar) { pb.RegisterExternalScalerServer(g, s) }

// Stop ends all streams with OK: KEDA comes back at once after an end, and
// backs off after an error. It does not wait; the gRPC server does.
func (s *Server) Stop() { s.stopOnce.Do(func() { close(s.stopped) }) }

// GetMetricSpec answers from the metadata alone. It refuses only what has no
// target: KEDA leaves an error of this call in its own log and fails all triggers
// of the ScaledObject, while what GetMetrics and IsActive refuse is told by
// kubectl describe.
func (s *Server) GetMetricSpec(ctx context.Context, ref *pb.ScaledObjectRef) (*pb.GetMetricSpecResponse, error) {
	q, err := s.lookup(ctx, ref, rpcSpec)
	if err == nil {
		return q.spec(), nil
	}
	if t, _ := readTrigger(ref.GetScalerMetadata(), s.opts.Missing); t.target > 0 {
		return (&question{trigger: t}).spec(), nil
	}
	return nil, err
}

// GetMetrics answers with exactly one value, under the name that was asked for.
func (s *Server) GetMetrics(ctx context.Context, req *pb.GetMetricsRequest) (*pb.GetMetricsResponse, error) {
	q, err := s.lookup(ctx, req.GetScaledObjectRef(), rpcMetrics)
	if err != nil {
		return nil, err
	}
	a := s.ask(ctx, q)
	if a.err != nil {
		return nil, q.status(a.err)
	}
	v, err := q.metricValue(a.value)
	if err != nil {
		return nil, q.status(err)
	}
	if v.MetricName = req.GetMetricName(); v.MetricName == "" {
		v.MetricName = q.metricName()
	}
	return &pb.GetMetricsResponse{MetricValues: []*pb.MetricValue{v}}, nil
}

// IsActive tells whether the value is above the activation target.
func (s *Server) IsActive(ctx context.Context, ref *pb.ScaledObjectRef) (*pb.IsActiveResponse, error) {
	q, err := s.lookup(ctx, ref, rpcActive)
	if err != nil {
		return nil, err
	}
	a := s.ask(ctx, q)
	if a.err != nil && !a.active {
		return nil, q.status(a.err)
	}
	return &pb.IsActiveResponse{Result: a.active}, nil
}

// question is a trigger of a ScaledObject with all that answering takes.
type question struct {
	object  string // namespace/name
	trigger *trigger
	plan    *query.Plan
	state   *state
}

// lookup understands the metadata, finds what is remembered of the trigger, and
// notes who asks.
func (s *Server) lookup(ctx context.Context, ref *pb.ScaledObjectRef, by rpc) (*question, error) {
	if ref == nil {
		return nil, status.Error(codes.InvalidArgument, "the request has no ScaledObjectRef")
	}
	object := Object{Namespace: ref.GetNamespace(), Name: ref.GetName()}
	q := &question{object: object.String()}
	var err error
	if q.trigger, err = parseTrigger(ref.GetScalerMetadata(), s.opts.Missing); err != nil {
		return nil, s.refuse(object, q, err)
	}
	var fault *Fault
	if q.plan, fault = q.trigger.compile(s.opts.Queries, s.Scope(object.Namespace)); fault != nil {
		return nil, s.refuse(object, q, fault)
	}
	key := triggerKey{
		Object: object, query: q.trigger.query, over: q.trigger.over, activation: q.trigger.activation,
	}
	st, ok := s.triggers.Get(key)
	if !ok {
		st, ok = s.remember(key, q)
		if !ok {
			s.logNew(q)
		}
	}
	if st.asks(asker(ctx), by, s.opts.Now(), q.trigger) {
		s.objects.changed(object)
	}
	s.objects.listed.see(st)
	q.state = st
	return q, nil
}

// Scope is what a namespace's queries may see.
func (s *Server) Scope(namespace string) query.Scope {
	if s.opts.NamespaceLabel == "" {
		return query.Scope{}
	}
	return query.Scope{Label: s.opts.NamespaceLabel, Value: namespace}
}

// Check is the function Check for a trigger in a namespace.
func (s *Server) Check(namespace string, md map[string]string) (found []*Fault, unread []string) {
	found, unread, _ = check(md, s.opts.Queries, s.Scope(namespace))
	return found, unread
}

func (s *Server) refuse(object Object, q *question, err error) error {
	s.metrics.refused.Inc()
	s.objects.refused.Add(object, Refusal{At: s.opts.Now(), Text: brief(err.Error())})
	s.objects.changed(object)
	return q.status(err)
}

// ask evaluates the query and decides.
func (s *Server) ask(ctx context.Context, q *question) answer {
	now := s.opts.Now()
	situation := s.situation(ctx, q, now)
	if ctx.Err() != nil {
		// The caller is gone; what the engine says then tells nothing about the data.
		return answer{err: context.Cause(ctx)}
	}
	s.noteCost(q)
	a := q.state.decide(situation, func(was, is cause, a answer) {
		s.metrics.transitions[a.told()].Inc()
		s.logChange(q, was, is, a)
		s.objects.changed(q.state.key.Object)
	})
	s.metrics.answers[a.cause].Inc()
	return a
}

// situation evaluates the query.
func (s *Server) situation(ctx context.Context, q *question, now time.Time) situation {
	r, err := q.plan.Read(ctx, now)
	situation := situation{
		trigger: q.trigger,
		plan:    q.plan,
		at:      now,
		value:   r.Value,
		lost:    r.Lost,
		err:     err,
		warming: s.warming(now),
		before:  func(loss query.Loss) (float64, bool) { return q.plan.Before(ctx, loss) },
		reset:   &s.reset,
	}
	if !s.taken.IsZero() {
		situation.restored = func() (float64, bool) { return q.plan.AtRestore(ctx, s.taken, s.whole) }
		situation.before = func(loss query.Loss) (float64, bool) { return s.before(ctx, q, loss) }
	}
	return situation
}

// warming tells whether senders are still given the time to come back.
func (s *Server) warming(now time.Time) bool { return now.Sub(s.started) < s.opts.WarmUp }

// before is of a loss that the restart may have caused: the downtime makes the
// samples from before it leave the retention sooner, and then the snapshot's value
// is all that is known.
func (s *Server) before(ctx context.Context, q *question, loss query.Loss) (float64, bool) {
	v, ok := q.plan.Before(ctx, loss)
	if loss.First > s.taken.UnixMilli() {
		return v, ok
	}
	then, known := q.plan.AtRestore(ctx, s.taken, s.whole)
	if !known || ok && v > then {
		return v, ok
	}
	return then, true
}

// Missing tells why a query that has no result now must not be read as zero, by
// the rules for a trigger with nothing but a query, of which nothing is
// remembered; nil if it may. It is for KEDA's prometheus trigger, which reads
// every empty result so.
func (s *Server) Missing(ctx context.Context, scope query.Scope, text string) error {
	plan, err := s.opts.Queries.CompileWithin(scope, text, query.LastOne)
	if err != nil {
		return err
	}
	situation := s.unremembered(ctx, plan)
	if situation.err == nil {
		return fmt.Errorf("%w: the result was empty, and is %v a moment later", ErrHeld, situation.value)
	}
	a := decide(situation)
	if a.cause == causeRestored {
		return fmt.Errorf("%w: the result is empty since a restart, before which it was %v", ErrHeld, a.value)
	}
	return a.err
}

func (s *Server) logNew(q *question) {
	s.opts.Logger.Info("KEDA asks about a trigger for the first time", "scaledobject", q.object, "query", q.plan.String(), "target", q.trigger.target)
	if len(q.trigger.unknown) > 0 {
		s.opts.Logger.Warn("trigger has metadata that nothing reads", "scaledobject", q.object, "keys", q.trigger.unknown)
	}
}

// AtLeast tells what a query's result must not be read below now, by the same
// rules, since series that it is made of may be missing; -Inf if it may be read as
// it is. The error wraps ErrHeld if it must not be read at all.
func (s *Server) AtLeast(ctx context.Context, scope query.Scope, text string) (float64, error) {
	plan, err := s.opts.Queries.CompileWithin(scope, text, query.LastOne)
	if err != nil {
		return math.Inf(-1), nil //nolint:nilerr // what has no plan is what the engine says
	}
	a := decide(s.unremembered(ctx, plan))
	switch {
	case errors.Is(a.err, ErrHeld):
		return 0, a.err
	case a.cause == causePartial, a.cause == causeRestored:
		return a.value, nil
	default:
		return math.Inf(-1), nil
	}
}

// unremembered is of a trigger with nothing but a query.
func (s *Server) unremembered(ctx context.Context, plan *query.Plan) situation {
	q := &question{trigger: &trigger{missing: s.opts.Missing}, plan: plan}
	return s.situation(ctx, q, s.opts.Now())
}

// expensive is how long the PromQL engine may take for a trigger without being
// spoken of. KEDA's own calls are to take less.
const expensive = 50 * time.Millisecond

// noteCost names a trigger whose query is expensive, once until it is no longer.
func (s *Server) noteCost(q *question) {
	took := q.plan.Took()
	if took < expensive {
		if took < expensive/2 && q.state.expensive.Load() {
			q.state.expensive.Store(false)
		}
		return
	}
	s.metrics.expensive.Inc()
	if q.state.expensive.CompareAndSwap(false, true) {
		s.opts.Logger.Warn("a trigger's query is expensive", "scaledobject", q.object, "took", took, "query", q.plan.String())
	}
}

func (s *Server) logChange(q *question, was, is cause, a answer) {
	attrs := []any{"scaledobject", q.object, "cause", string(is), "before", string(was)}
	if a.err != nil {
		s.opts.Logger.Warn("holding", append(attrs, "error", a.err)...) // which names the query
		return
	}
	s.opts.Logger.Info("answering", append(attrs, "value", a.value, "active", a.active, "query", q.plan.String())...)
}

// status makes a gRPC error of one of ours, naming the ScaledObject.
func (q *question) status(err error) error {
	code := codes.Internal
	switch {
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	case errors.Is(err, ErrTrigger):
		code = codes.InvalidArgument
	case errors.Is(err, ErrHeld):
		code = codes.Unavailable
	case errors.Is(err, query.ErrNotOneNumber), errors.Is(err, query.ErrEvaluation):
		code = codes.FailedPrecondition
	}
	return status.Errorf(code, "ScaledObject %s: %v", q.object, err)
}
