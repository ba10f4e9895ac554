package tracing

import (
	"context"
	"strings"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Unary makes the spans of KEDA's calls.
func (t *Tracer) Unary() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		method := strings.TrimPrefix(info.FullMethod, "/")
		md, _ := metadata.FromIncomingContext(ctx)
		ctx, span := t.start(ctx, carrier(md), method, asked(method, request)...)
		defer span.End()
		response, err := handler(ctx, request)
		span.SetAttributes(attribute.Int("rpc.grpc.status_code", int(status.Code(err))))
		if err != nil {
			span.SetStatus(codes.Error, status.Convert(err).Message())
			return response, err
		}
		span.SetAttributes(told(response)...)
		return response, nil
	}
}

// asked are the attributes of a question: OpenTelemetry's of a call, and whose
// trigger it is about.
func asked(method string, request any) []attribute.KeyValue {
	service, call, _ := strings.Cut(method, "/")
	all := []attribute.KeyValue{
		attribute.String("rpc.system", "grpc"), attribute.String("rpc.service", service), attribute.String("rpc.method", call),
	}
	ref, ok := request.(*pb.ScaledObjectRef)
	if of, has := request.(interface{ GetScaledObjectRef() *pb.ScaledObjectRef }); has {
		ref, ok = of.GetScaledObjectRef(), true
	}
	if ok {
		all = append(all,
			attribute.String("k8s.namespace.name", ref.GetNamespace()),
			attribute.String("keda.scaledobject.name", ref.GetName()))
	}
	return all
}

// told are the attributes of an answer.
func told(response any) []attribute.KeyValue {
	switch r := response.(type) {
	case *pb.IsActiveResponse:
		return []attribute.KeyValue{attribute.Bool("keda.active", r.GetResult())}
	case *pb.GetMetricsResponse:
		if values := r.GetMetricValues(); len(values) > 0 {
			return []attribute.KeyValue{
				attribute.String("keda.metric.name", values[0].GetMetricName()),
				attribute.Float64("keda.metric.value", values[0].GetMetricValueFloat()),
			}
		}
	}
	return nil
}

// carrier reads a caller's span.
type carrier metadata.MD

// Get returns the first value of a key.
func (c carrier) Get(key string) string {
	if values := metadata.MD(c).Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set does nothing: a server reads only.
func (carrier) Set(string, string) {}

// Keys are none: TraceContext asks for what it knows.
func (carrier) Keys() []string { return nil }
