package serve

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	v1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// spanReceiver keeps what it is sent.
type spanReceiver struct {
	collector.UnimplementedTraceServiceServer
	mu      sync.Mutex
	spans   []*v1.Span
	service string
}

func (s *spanReceiver) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range r.GetResourceSpans() {
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				s.service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			s.spans = append(s.spans, scope.GetSpans()...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// receiveSpans starts a receiver, and returns its address.
func receiveSpans(t *testing.T) (*spanReceiver, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s, server := &spanReceiver{}, grpc.NewServer()
	collector.RegisterTraceServiceServer(server, s)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return s, listener.Addr().String()
}

// asked asks an instance one question of each kind, and stops it.
func asked(t *testing.T, endpoint string) *instance {
	t.Helper()
	i := start(t, "--warm-up=0", "--traces-endpoint="+endpoint)
	_, err := pmetricotlp.NewGRPCClient(dialGRPC(t, i.OTLPGRPC)).Export(t.Context(), push("queue_length", 42))
	require.NoError(t, err)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	keda := pb.NewExternalScalerClient(dialGRPC(t, i.KEDAGRPC))
	_, err = keda.GetMetrics(ctx, &pb.GetMetricsRequest{ScaledObjectRef: object()})
	require.NoError(t, err)
	_, err = keda.IsActive(t.Context(), object())
	require.NoError(t, err)
	_, err = keda.GetMetricSpec(t.Context(), &pb.ScaledObjectRef{Name: "bad", Namespace: "default"})
	require.Error(t, err)
	code, _ := get(t, i.HTTP, "/api/v1/query?query=queue_length")
	require.Equal(t, http.StatusOK, code)
	_, err = i.wait(t)
	require.NoError(t, err)
	return i
}

// attributes of a span, its strings, numbers and bools alike.
func attributes(span *v1.Span) map[string]any {
	all := map[string]any{}
	for _, a := range span.GetAttributes() {
		switch v := a.GetValue(); {
		case v.GetDoubleValue() != 0:
			all[a.GetKey()] = v.GetDoubleValue()
		case v.GetIntValue() != 0:
			all[a.GetKey()] = v.GetIntValue()
		case v.GetBoolValue():
			all[a.GetKey()] = true
		default:
			all[a.GetKey()] = v.GetStringValue()
		}
	}
	return all
}

func TestASpanForEachQuestion(t *testing.T) {
	received, address := receiveSpans(t)
	asked(t, "http://"+address)
	require.Equal(t, "keda-otel-scaler", received.service)
	byName := map[string]*v1.Span{}
	for _, span := range received.spans {
		require.Equal(t, v1.Span_SPAN_KIND_SERVER, span.GetKind())
		require.Greater(t, span.GetEndTimeUnixNano(), span.GetStartTimeUnixNano())
		byName[span.GetName()] = span
	}
	require.Len(t, byName, 4, "and none for the push")

	metrics := byName["externalscaler.ExternalScaler/GetMetrics"]
	require.Equal(t, []byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}, metrics.GetParentSpanId(), "the caller's")
	got := attributes(metrics)
	require.InDelta(t, 42, got["keda.metric.value"], 0)
	require.Equal(t, "default", got["k8s.namespace.name"])
	require.Equal(t, object().GetName(), got["keda.scaledobject.name"])

	require.Equal(t, true, attributes(byName["externalscaler.ExternalScaler/IsActive"])["keda.active"])

	spec := byName["externalscaler.ExternalScaler/GetMetricSpec"]
	require.Equal(t, v1.Status_STATUS_CODE_ERROR, spec.GetStatus().GetCode())
	require.Contains(t, spec.GetStatus().GetMessage(), "default/bad")

	query := byName["GET /api/v1/query"]
	require.NotNil(t, query, "%v", byName)
	require.Equal(t, "query=queue_length", attributes(query)["url.query"])
	require.EqualValues(t, 200, attributes(query)["http.response.status_code"])
}

// TestOpenTelemetrysVariablesCount for what has no flag.
func TestOpenTelemetrysVariablesCount(t *testing.T) {
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
	t.Setenv("OTEL_SERVICE_NAME", "my-scaler")
	received, address := receiveSpans(t)
	asked(t, "http://"+address)
	require.Len(t, received.spans, 1, "the one whose caller has it sampled")
	require.Equal(t, "my-scaler", received.service)
}

// TestNobodyTakesTheSpans: the questions are answered all the same, and the log
// says so.
func TestNobodyTakesTheSpans(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	i := asked(t, "http://"+listener.Addr().String())
	require.Contains(t, i.log.String(), "spans are lost")
}
