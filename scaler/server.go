package scaler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/limit"
	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

const (
	// MaxTriggers bounds the triggers whose state is stored; the one asked for longest
	// ago goes first.
	MaxTriggers = 100_000
	// maxQueries is the same for queries under /keda.
	maxQueries = 1000
)

// Options configure a Server. Zero means the default in brackets.
type Options struct {
	Queries    *query.Engine
	WarmUp     time.Duration // after a start without a snapshot, during which every decision holds (0)
	Missing    Missing       // for triggers that don't have onMissing (Hold)
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
	opts      Options
	start     atomic.Pointer[start]
	triggers  *lru.Cache[triggerKey, *state]
	queries   *lru.Cache[triggerKey, *state] // that are asked under /keda
	objects   objects                        // the triggers, by their ScaledObjects
	evaluator *evaluator
	metrics   *metrics
	activity  watchers[*state] // of changes of state.shown
	open      limit.Semaphore  // of the streams

	stopOnce sync.Once
	stopped  chan struct{}
}

// New returns a server, which counts its warm-up from now.
func New(o Options) (*Server, error) {
	o.MaxStreams = cmp.Or(o.MaxStreams, 100_000)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{
		opts:     o,
		objects:  newObjects(),
		activity: newWatchers[*state](),
		open:     limit.NewSemaphore(o.MaxStreams),
		stopped:  make(chan struct{}),
	}
	s.metrics = newMetrics(o.Registerer, s.Streams)
	s.evaluator = newEvaluator(s)
	s.start.Store(s.newStart(o.WarmUp))
	s.triggers = newCache(MaxTriggers, s.objects.evictedLocked)
	s.queries = newCache(maxQueries, func(_ triggerKey, st *state) { st.evicted.Store(true) })
	if o.Registerer != nil {
		if err := o.Registerer.Register(listed{s}); err != nil {
			return nil, fmt.Errorf("registering the triggers' metrics: %w", err)
		}
	}
	return s, nil
}

// Streams returns how many of KEDA's streams are open, of MaxStreams.
func (s *Server) Streams() int { return len(s.open) }

// Triggers returns how many triggers are stored, of MaxTriggers.
func (s *Server) Triggers() int { return s.triggers.Len() }

// Register puts the service on a gRPC server.
func (s *Server) Register(g grpc.ServiceRegistrar) { pb.RegisterExternalScalerServer(g, s) }

// Stop ends all streams with OK: KEDA comes back at once after an end, and
// backs off after an error. It does not wait; the gRPC server does.
func (s *Server) Stop() { s.stopOnce.Do(func() { close(s.stopped) }) }

// GetMetricSpec answers from the metadata alone. It rejects what has no target,
// and a query over a longer window than the store has samples of: that can't ever
// be answered. KEDA leaves an error of this call in its own log and fails all
// triggers of the ScaledObject, while kubectl describe shows what GetMetrics and
// IsActive reject.
func (s *Server) GetMetricSpec(ctx context.Context, ref *pb.ScaledObjectRef) (*pb.GetMetricSpecResponse, error) {
	q, err := s.lookup(ctx, ref, rpcSpec)
	switch {
	case err == nil:
		return q.trigger.spec(q.state.metric), nil
	case q != nil && q.trigger.Target > 0 && !errors.Is(q.fault, query.ErrWindow):
		return q.trigger.spec(noName), nil
	}
	return nil, err
}

// GetMetrics answers with exactly one value, under the name that was asked for.
func (s *Server) GetMetrics(ctx context.Context, req *pb.GetMetricsRequest) (*pb.GetMetricsResponse, error) {
	q, d, err := s.answer(ctx, req.GetScaledObjectRef(), rpcMetrics)
	if err != nil {
		return nil, err
	}
	v, err := q.trigger.metricValue(d, q.state.plan)
	if err != nil {
		return nil, q.status(err)
	}
	v.MetricName = cmp.Or(req.GetMetricName(), q.state.metric)
	return &pb.GetMetricsResponse{MetricValues: []*pb.MetricValue{v}}, nil
}

// IsActive reports whether the value is above the activation target.
func (s *Server) IsActive(ctx context.Context, ref *pb.ScaledObjectRef) (*pb.IsActiveResponse, error) {
	q, d, err := s.answer(ctx, ref, rpcActive)
	if err != nil {
		return nil, err
	}
	if d.err != nil && !d.active {
		return nil, q.status(d.err)
	}
	return &pb.IsActiveResponse{Result: d.active}, nil
}

// Answer decides about a query as about a trigger with nothing but that query, in
// a namespace if queries are bounded by namespaces. It is for KEDA's prometheus
// trigger, which reads an empty result, NaN and infinity as 0. The errors wrap
// ErrHeld, query.ErrBadQuery, query.ErrNotOneNumber or query.ErrEvaluation.
func (s *Server) Answer(ctx context.Context, namespace, text string) (float64, error) {
	key := triggerKey{Object: Object{Namespace: namespace}, Query: text, Over: query.LastOne, Missing: s.opts.Missing}
	st, ok := s.queries.Get(key)
	if !ok {
		scope := query.Scope{}
		if namespace != "" {
			scope = s.Scope(namespace)
		}
		plan, err := s.opts.Queries.Compile(scope, text, query.LastOne)
		if err != nil {
			return 0, err
		}
		st = s.newState(key, &Metadata{Query: text, Over: query.LastOne, Missing: s.opts.Missing, Target: 1}, plan)
		if prev, ok, _ := s.queries.PeekOrAdd(key, st); ok {
			st = prev
		}
	}
	st.calls.note(netip.Addr{}, rpcMetrics, s.opts.Now())
	d, err := s.current(ctx, st)
	if err != nil {
		return 0, err
	}
	return d.value, d.err
}

// question is one of KEDA's about a trigger.
type question struct {
	object  Object
	trigger *Metadata
	state   *state
	fault   error // why there is no state
}

// answer returns the decision for a call of KEDA's, and counts it.
func (s *Server) answer(ctx context.Context, ref *pb.ScaledObjectRef, by rpc) (*question, *decision, error) {
	q, err := s.lookup(ctx, ref, by)
	if err != nil {
		return nil, nil, err
	}
	d, err := s.current(ctx, q.state)
	if err != nil {
		return nil, nil, q.status(err)
	}
	s.metrics.answers[d.cause].Inc()
	return q, d, nil
}

// lookup reads the metadata, finds the trigger's state, and notes the caller.
func (s *Server) lookup(ctx context.Context, ref *pb.ScaledObjectRef, by rpc) (*question, error) {
	if ref == nil {
		return nil, status.Error(codes.InvalidArgument, "the request has no ScaledObjectRef")
	}
	t, found := readTrigger(ref.GetScalerMetadata(), s.opts.Missing)
	q := &question{object: Object{Namespace: ref.GetNamespace(), Name: ref.GetName()}, trigger: t}
	if len(found) > 0 {
		return q, s.reject(q, found[0])
	}
	key := triggerKey{Object: q.object, Query: t.Query, Over: t.Over, Activation: t.Activation, Missing: t.Missing}
	st, ok := s.triggers.Get(key)
	if !ok {
		plan, fault := t.compile(s.opts.Queries, s.Scope(q.object.Namespace))
		if fault != nil {
			return q, s.reject(q, fault)
		}
		var known bool
		if st, known = s.store(key, t, plan); !known {
			s.logNew(q, plan)
		}
	}
	if st.asks(asker(ctx), by, s.opts.Now(), t) {
		s.objects.watchers.notify(q.object)
	}
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
	found, unread, _ = Check(md, s.opts.Queries, s.Scope(namespace))
	return found, unread
}

func (s *Server) reject(q *question, err error) error {
	q.fault = err
	s.metrics.refused.Inc()
	s.objects.refused.Add(q.object, Refusal{At: s.opts.Now(), Text: brief(err.Error())})
	s.objects.watchers.notify(q.object)
	return q.status(err)
}

func (s *Server) logNew(q *question, plan *query.Plan) {
	object := q.object.String()
	s.opts.Logger.Info("KEDA asks about a trigger for the first time", "scaledobject", object, "query", plan.String(), "target", q.trigger.Target)
	if len(q.trigger.Unread) > 0 {
		s.opts.Logger.Warn("trigger has metadata that nothing reads", "scaledobject", object, "keys", q.trigger.Unread)
	}
}

// expensive is how long an evaluation may take without being logged. KEDA's own
// calls are to take less.
func expensive(cost time.Duration) bool { return cost >= 50*time.Millisecond }

// announce logs and counts what a decision changed.
func (s *Server) announce(st *state, c *change) {
	d, object := c.is, st.key.String()
	if st.key.Name == "" {
		object = "/keda"
	}
	switch {
	case expensive(d.cost):
		s.metrics.expensive.Inc()
		if st.expensive.CompareAndSwap(false, true) {
			s.opts.Logger.Warn("a trigger's query is expensive", "scaledobject", object, "took", d.cost, "query", st.plan.String())
		}
	case !expensive(2 * d.cost):
		st.expensive.Store(false)
	}
	if c.news {
		s.metrics.transitions.WithLabelValues(d.stateName()).Inc()
		s.logChange(st, object, c)
	}
	if st.key.Name != "" {
		s.objects.watchers.notify(st.key.Object)
	}
}

func (s *Server) logChange(st *state, object string, c *change) {
	attrs := []any{"scaledobject", object, "cause", string(c.is.cause), "before", string(c.was)}
	switch d := c.is; {
	case d.err != nil:
		s.opts.Logger.Warn("holding", append(attrs, "error", d.err)...) // which names the query
	case d.warning != "":
		s.opts.Logger.Warn("answering", append(attrs, "value", d.value, "active", d.active, "query", st.plan.String(), "warning", d.warning)...)
	default:
		s.opts.Logger.Info("answering", append(attrs, "value", d.value, "active", d.active, "query", st.plan.String())...)
	}
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
