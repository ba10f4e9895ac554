package selfmetrics

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// other is the method label of a call to a method the server does not have.
const other = "other"

// GRPC counts what gRPC servers were asked and keeps a panic in one call from
// ending the process.
type GRPC struct {
	logger   *slog.Logger
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	panics   prometheus.Counter
}

// NewGRPC registers the counters with registerer.
func NewGRPC(registerer prometheus.Registerer, logger *slog.Logger) *GRPC {
	g := &GRPC{
		logger: logger,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keda_otel_scaler_grpc_requests_total",
			Help: "gRPC calls that ended, by server, method and status code; a stream counts once.",
		}, []string{"server", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "keda_otel_scaler_grpc_request_duration_seconds",
			Help: "How long gRPC calls took, by server and method, from their first byte; streams are not timed.",
			// For those who don't scrape native histograms.
			Buckets:                         []float64{1e-4, 1e-3, 1e-2, 0.1, 1},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"server", "method"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "keda_otel_scaler_panics_total",
			Help: "Panics caught while answering a gRPC call; each is logged with its stack.",
		}),
	}
	registerer.MustRegister(g.requests, g.duration, g.panics)
	return g
}

// NewServer is a gRPC server whose calls are counted under the given name.
// register adds the services; the methods it brings are the only ones that
// become label values.
func (g *GRPC) NewServer(name string, register func(*grpc.Server), options ...grpc.ServerOption) *grpc.Server {
	counter := &callCounter{requests: g.requests.MustCurryWith(prometheus.Labels{"server": name}), methods: map[string]prometheus.Observer{}}
	server := grpc.NewServer(append(append(options, g.Recovery()...),
		grpc.StatsHandler(counter),
		// Without it gRPC answers an unknown method before it counts it.
		grpc.UnknownServiceHandler(unknownMethod),
	)...)
	register(server)
	for service, info := range server.GetServiceInfo() {
		for _, method := range info.Methods {
			var took prometheus.Observer // of a stream, nobody's
			path := "/" + service + "/" + method.Name
			if !method.IsClientStream && !method.IsServerStream {
				took = g.duration.WithLabelValues(name, path)
			}
			counter.methods[path] = took
		}
	}
	return server
}

// Recovery keeps a panic in one call of a server from ending the process. It is
// all that the OTLP server takes: a stats handler makes gRPC copy the headers of
// every request, a sixth of the CPU of a sidecar's push. The receiver counts its
// requests itself.
func (g *GRPC) Recovery() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(g.recoverUnary), grpc.ChainStreamInterceptor(g.recoverStream)}
}

func unknownMethod(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	return status.Errorf(codes.Unimplemented, "unknown method %s", method)
}

func (g *GRPC) recoverUnary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (_ any, err error) {
	defer g.recovered(info.FullMethod, &err)
	return handler(ctx, request)
}

func (g *GRPC) recoverStream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer g.recovered(info.FullMethod, &err)
	return handler(server, stream)
}

// recovered turns a panic of the caller into an Internal error. The peer gets
// no detail: the stack is for the log.
func (g *GRPC) recovered(method string, err *error) {
	if reason := recover(); reason != nil {
		g.panics.Inc()
		g.logger.Error("a call panicked", "method", method, "panic", reason, "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "internal error; the server's log has the stack")
	}
}

// callCounter counts calls as they end. It is a stats handler and no
// interceptor because interceptors never see a call that fails before its
// handler: a message too large, an unknown compression, a peer that hung up
// halfway. Those are the drops worth counting.
type callCounter struct {
	requests *prometheus.CounterVec
	methods  map[string]prometheus.Observer // complete before the server serves
}

type methodKey struct{}

// TagRPC implements stats.Handler.
func (c *callCounter) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	method := info.FullMethodName
	if _, ok := c.methods[method]; !ok {
		method = other
	}
	return context.WithValue(ctx, methodKey{}, method)
}

// HandleRPC implements stats.Handler.
func (c *callCounter) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if end, ok := event.(*stats.End); ok {
		method, _ := ctx.Value(methodKey{}).(string)
		c.requests.WithLabelValues(method, status.Code(end.Error).String()).Inc()
		if took := c.methods[method]; took != nil {
			took.Observe(end.EndTime.Sub(end.BeginTime).Seconds())
		}
	}
}

// TagConn implements stats.Handler.
func (c *callCounter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (c *callCounter) HandleConn(context.Context, stats.ConnStats) {}
