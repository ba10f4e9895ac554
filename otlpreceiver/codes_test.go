package otlpreceiver

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	colpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (rawCodec) Unmarshal(d mem.BufferSlice, v any) error {
	*v.(*[]byte) = d.Materialize()
	return nil
}

func (h *harness) raw(conn *grpc.ClientConn, b []byte) ([]byte, error) {
	var out []byte
	err := conn.Invoke(ctx(h.t), exportMethod, b, &out, grpc.ForceCodecV2(rawCodec{}))
	return out, err
}

func encoded(t testing.TB, ms ...*mpb.Metric) []byte {
	b, err := proto.Marshal(&colpb.ExportMetricsServiceRequest{ResourceMetrics: []*mpb.ResourceMetrics{resource(nil, ms...)}})
	require.NoError(t, err)
	return b
}

func TestMalformedRequestIsInvalidArgumentAndStoresNothing(t *testing.T) {
	h := serve(t, config{})
	h.sendOK(gaugeOf("held", double(0, 1)))
	before := h.held("")
	good := encoded(t, gaugeOf("new", double(0, 1)))
	for name, b := range map[string][]byte{
		"garbage":                 []byte("GET / HTTP/1.1"),
		"cut short":               good[:len(good)-1],
		"a good one, then bytes":  append(bytes.Clone(good), 0xff),
		"wrong wire type":         {0x08, 0x01},
		"length beyond the bytes": {0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.raw(h.conn, b)
			require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
			require.Contains(t, status.Convert(err).Message(), "not an OTLP ExportMetricsServiceRequest")
			require.Equal(t, before, h.held(""))
		})
	}
	require.Equal(t, 5.0, h.metric("keda_otel_scaler_otlp_requests_total", "outcome", "malformed"))
}

func TestFullSuccessIsNoBytesAtAll(t *testing.T) {
	h := serve(t, config{})
	out, err := h.raw(h.conn, encoded(t, gaugeOf("g", double(0, 1))))
	require.NoError(t, err)
	require.Empty(t, out)
}

func TestEmptyRequestIsOK(t *testing.T) {
	h := serve(t, config{})
	out, err := h.raw(h.conn, nil)
	require.NoError(t, err)
	require.Empty(t, out)
}

func TestOversizeRequestIsResourceExhausted(t *testing.T) {
	h := serve(t, config{server: []grpc.ServerOption{grpc.MaxRecvMsgSize(100)}})
	_, err := h.raw(h.conn, make([]byte, 101))
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
}

func TestOtherServicesOfTheServerKeepTheirCodec(t *testing.T) {
	state := health.NewServer()
	state.SetServingStatus("otlp", healthpb.HealthCheckResponse_NOT_SERVING)
	h := serve(t, config{register: func(s *grpc.Server) { healthpb.RegisterHealthServer(s, state) }})
	res, err := healthpb.NewHealthClient(h.conn).Check(ctx(t), &healthpb.HealthCheckRequest{Service: "otlp"})
	require.NoError(t, err)
	require.Equal(t, healthpb.HealthCheckResponse_NOT_SERVING, res.Status)
}

// countingPool counts the buffers that are out.
type countingPool struct{ out int }

func (p *countingPool) Get(n int) *[]byte {
	p.out++
	return ptr(make([]byte, n))
}
func (p *countingPool) Put(*[]byte) { p.out-- }

func TestRequestBuffersReturnToTheirPool(t *testing.T) {
	h := serve(t, config{})
	refuse := func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
		return nil, status.Error(codes.Unavailable, "overloaded")
	}
	for name, c := range map[string]struct {
		size      int
		intercept grpc.UnaryServerInterceptor
	}{"malformed": {4096, nil}, "refused by an interceptor": {4096, refuse}} {
		t.Run(name, func(t *testing.T) {
			pool := &countingPool{}
			b := pool.Get(c.size)
			(*b)[0] = 0xff
			data := mem.BufferSlice{mem.NewBuffer(b, pool)}
			_, err := handleExport(h.receiver, ctx(t), func(v any) error {
				defer data.Free() // as gRPC does
				return newCodec().Unmarshal(data, v)
			}, c.intercept)
			require.Error(t, err)
			require.Zero(t, pool.out)
		})
	}
}

func TestInterceptorSeesTheMethodAndMayRefuse(t *testing.T) {
	var seen string
	refuse := false
	h := serve(t, config{server: []grpc.ServerOption{grpc.UnaryInterceptor(
		func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			seen = info.FullMethod
			if refuse {
				return nil, status.Error(codes.Unavailable, "overloaded")
			}
			return next(ctx, req)
		})}})
	h.sendOK(gaugeOf("g", double(0, 1)))
	require.Equal(t, colpb.MetricsService_Export_FullMethodName, seen)
	refuse = true
	_, err := h.raw(h.conn, encoded(t, gaugeOf("other", double(0, 1))))
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Empty(t, h.held("other"))
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	_, err := New(Options{})
	require.ErrorContains(t, err, "needs a store")
	h := serve(t, config{})
	_, err = New(Options{Store: h.store, ResourceAttributes: []string{"a", ""}})
	require.ErrorContains(t, err, "name is empty")
	_, err = New(Options{Store: h.store, Registerer: h.reg})
	require.ErrorContains(t, err, "registering the OTLP receiver's metrics")
}
