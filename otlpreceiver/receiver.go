package otlpreceiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// warnInterval is the least time between two lines about rejected points: a
// sender repeats its mistake with every push.
const warnInterval = 10 * time.Second

// Options are what a receiver needs. Only Store is required.
type Options struct {
	Store *store.Store

	// ResourceAttributes names the resource attributes that become labels:
	// nil for none, "*" for all. Whatever it says, service.name,
	// service.namespace and service.instance.id become job and instance, and a
	// point without namespace, deployment or pod takes it from its resource.
	ResourceAttributes []string

	MaxHeldBytes int         // of the requests that are not stored yet (256 MiB)
	Tight        func() bool // whether memory is too short for more requests (never)
	Late         func()      // called when a request has waited for the CPU (nobody)

	Logger     *slog.Logger          // nil for none
	Registerer prometheus.Registerer // where the receiver's own metrics go (nowhere)
}

func (o *Options) setDefaults() {
	if o.MaxHeldBytes <= 0 {
		o.MaxHeldBytes = 256 << 20
	}
	if o.Tight == nil {
		o.Tight = func() bool { return false }
	}
	if o.Late == nil {
		o.Late = func() {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Receiver stores the metrics of OTLP requests. Its methods may be called
// concurrently.
type Receiver struct {
	store     *store.Store
	promotion promotion
	log       *slog.Logger
	metrics   *metrics
	now       func() time.Time // of waits and the log's rate limit, not of samples

	intake    intake
	late      func()
	hasher    hasher
	cache     *cache
	batches   sync.Pool // of *batch
	pdataOnly bool      // for tests: no hot path

	warned        atomic.Int64 // when rejected points were last logged, in ns
	dropWarned    atomic.Int64 // when dropped attributes alone were
	refusalWarned atomic.Int64 // when refused requests were
}

// New returns a receiver.
func New(o Options) (*Receiver, error) {
	if o.Store == nil {
		return nil, errors.New("an OTLP receiver needs a store")
	}
	p, err := newPromotion(o.ResourceAttributes)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	o.setDefaults()
	r := &Receiver{
		store: o.Store, promotion: p, log: o.Logger, metrics: m, now: time.Now,
		intake: intake{most: int64(o.MaxHeldBytes), tight: o.Tight},
		late:   o.Late,
		hasher: newHasher(),
		// Twice, for senders of which some write the same attributes in another order.
		cache: newCache(2 * o.Store.MaxSeries()),
	}
	r.batches.New = func() any { return newBatch(r) }
	return r, nil
}

// Run keeps the receiver's cache tidy until ctx is done.
func (r *Receiver) Run(ctx context.Context) error { return r.cache.run(ctx) }

// ServerOptions returns the options that a server needs to have a receiver
// registered. Other services of that server work as before.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ForceServerCodecV2(newCodec())}
}

// Register adds the OTLP MetricsService to a server made with ServerOptions.
func (r *Receiver) Register(s *grpc.Server) { s.RegisterService(&serviceDesc, r) }

// exporter is what serviceDesc asks of its implementation.
type exporter interface {
	admit(ctx context.Context, via transport) (share, error)
	refuse(ctx context.Context, via transport, why refusedFor) error
	export(ctx context.Context, req *request) (*response, error)
	unread(via transport)
}

const exportMethod = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

var serviceDesc = grpc.ServiceDesc{
	ServiceName: "opentelemetry.proto.collector.metrics.v1.MetricsService",
	HandlerType: (*exporter)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Export", Handler: handleExport}},
	Metadata:    "opentelemetry/proto/collector/metrics/v1/metrics_service.proto",
}

func handleExport(srv any, ctx context.Context, dec func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) { //nolint:revive // grpc.MethodHandler's order
	to := srv.(exporter)
	of, err := to.admit(ctx, viaGRPC) // before its message is waited for
	if err != nil {
		return nil, err
	}
	defer of.free()
	req := &request{}
	if err := dec(req); err != nil {
		to.unread(viaGRPC)
		return nil, err
	}
	defer req.free()
	if !of.grow(len(req.bytes())) {
		return nil, to.refuse(ctx, viaGRPC, inFlight)
	}
	if intercept == nil {
		return to.export(ctx, req)
	}
	info := &grpc.UnaryServerInfo{Server: srv, FullMethod: exportMethod}
	return intercept(ctx, req, info, func(ctx context.Context, req any) (any, error) {
		return to.export(ctx, req.(*request))
	})
}

// admit lets a request in that has only begun.
func (r *Receiver) admit(ctx context.Context, via transport) (share, error) {
	of, why, ok := r.intake.admit()
	if !ok {
		return of, r.refuse(ctx, via, why)
	}
	return of, nil
}

// refuse counts a request that has to come again.
func (r *Receiver) refuse(ctx context.Context, via transport, why refusedFor) error {
	r.metrics.by[via].refused.Inc()
	r.metrics.refused[why].Inc()
	err := busyError(why)
	if r.mayWarn(&r.refusalWarned) {
		r.log.LogAttrs(ctx, slog.LevelWarn, "OTLP requests are rejected as retryable",
			slog.String("peer", peerOf(ctx)), slog.Int("held", r.HeldBytes()), slog.Any("error", err))
	}
	return err
}

// unread counts a request that did not come through: too large, wrongly
// compressed, cut off.
func (r *Receiver) unread(via transport) { r.metrics.by[via].unread.Inc() }

// export stores one request that came over gRPC.
func (r *Receiver) export(ctx context.Context, req *request) (*response, error) {
	return r.ingest(ctx, req.bytes(), protobufFormat, viaGRPC)
}

// ingest stores one request: on the hot path if that understands all of it.
// Nothing keeps b.
func (r *Receiver) ingest(ctx context.Context, b []byte, f *format, via transport) (*response, error) {
	if err := r.acquireDecoding(ctx); err != nil {
		return nil, err
	}
	defer decoding.Release()
	if err := ctx.Err(); err != nil { // its sender has gone, and sends it again
		return nil, status.FromContextError(err).Err()
	}
	r.metrics.by[via].bytes.Add(float64(len(b)))
	in := r.batches.Get().(*batch) // not given back by a panic
	in.reset()
	if f.hot && !r.pdataOnly && in.read(b) {
		in.store()
	} else if err := r.slowExport(ctx, b, f, in.t); err != nil {
		r.metrics.by[via].malformed.Inc()
		r.release(in)
		return nil, err
	}
	in.app.Commit()
	r.metrics.count(in, via)
	res, err := r.respond(ctx, &in.t.result, f)
	r.release(in)
	return res, err
}

// release puts a batch back, unless a huge request has made it huge.
func (r *Receiver) release(in *batch) {
	if cap(in.points)+cap(in.histograms) <= maxPooled {
		r.batches.Put(in)
	}
}

// slowExport has pdata read all of a request that is malformed or unusual.
func (r *Receiver) slowExport(ctx context.Context, b []byte, f *format, t *translator) error {
	md, err := f.decode(b)
	if err != nil {
		r.log.LogAttrs(ctx, slog.LevelDebug, "malformed OTLP request refused",
			slog.String("peer", peerOf(ctx)), slog.Int("bytes", len(b)), slog.Any("error", err))
		return malformed(fmt.Sprintf("the %d bytes are not an OTLP ExportMetricsServiceRequest in %s: %s",
			len(b), f.contentType, clip(err.Error())))
	}
	t.walk(md)
	return nil
}

// malformed says it once for people and once, as OTLP wants it, for programs.
func malformed(why string) error {
	s := status.New(codes.InvalidArgument, why)
	detailed, err := s.WithDetails(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Description: why}}})
	if err != nil {
		return s.Err()
	}
	return detailed.Err()
}

// respond says which points were not stored.
func (r *Receiver) respond(ctx context.Context, res *result, f *format) (*response, error) {
	msg := res.message()
	if msg == "" {
		return &f.accepted, nil
	}
	rejected := res.rejectedPoints()
	r.warn(ctx, rejected, res.droppedAttributes(), msg)
	out := pmetricotlp.NewExportResponse()
	out.PartialSuccess().SetRejectedDataPoints(rejected)
	out.PartialSuccess().SetErrorMessage(msg)
	b, err := f.partly(out)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "encoding the response: %v", err)
	}
	return (*response)(&b), nil
}

// warn logs a message unless one was logged within warnInterval. Dropped attributes
// have an interval of their own: they must not hide that points are lost.
func (r *Receiver) warn(ctx context.Context, rejected, dropped int64, msg string) {
	last := &r.warned
	if rejected == 0 && dropped > 0 {
		last = &r.dropWarned
	}
	if !r.mayWarn(last) {
		return
	}
	r.log.LogAttrs(ctx, slog.LevelWarn, "OTLP data points not stored as sent", slog.String("peer", peerOf(ctx)),
		slog.Int64("rejected", rejected), slog.Int64("dropped attributes", dropped), slog.String("reasons", msg))
}

// mayWarn is true once within warnInterval.
func (r *Receiver) mayWarn(warned *atomic.Int64) bool {
	now, last := r.now().UnixNano(), warned.Load()
	return (last == 0 || now-last >= int64(warnInterval)) && warned.CompareAndSwap(last, now)
}

func peerOf(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		return p.Addr.String()
	}
	return ""
}
