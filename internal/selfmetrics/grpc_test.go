package selfmetrics

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// moody is a health service that panics when it is asked about "panic".
type moody struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (moody) Check(_ context.Context, request *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if request.GetService() == "panic" {
		panic("a bad mood")
	}
	return &grpc_health_v1.HealthCheckResponse{}, nil
}

func (moody) Watch(request *grpc_health_v1.HealthCheckRequest, _ grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	if request.GetService() == "panic" {
		panic("a bad mood")
	}
	return nil
}

// start serves moody and returns a connection to it and what it counts and logs.
func start(t *testing.T) (conn *grpc.ClientConn, registry *prometheus.Registry, log *bytes.Buffer, stop func()) {
	t.Helper()
	registry, log = prometheus.NewRegistry(), &bytes.Buffer{}
	metrics := NewGRPC(registry, slog.New(slog.NewTextHandler(log, nil)))
	server := metrics.NewServer("keda", func(s *grpc.Server) { grpc_health_v1.RegisterHealthServer(s, moody{}) },
		grpc.MaxRecvMsgSize(100))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	return conn, registry, log, func() {
		require.NoError(t, conn.Close())
		server.GracefulStop()
		require.NoError(t, <-served)
	}
}

func TestCallsAreCounted(t *testing.T) {
	conn, registry, log, stop := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client := grpc_health_v1.NewHealthClient(conn)

	_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	_, err = client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "panic"})
	require.Equal(t, codes.Internal, status.Code(err))
	require.NotContains(t, err.Error(), "bad mood")
	_, err = client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: strings.Repeat("x", 200)})
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	for _, service := range []string{"", "panic"} {
		stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
		require.NoError(t, err)
		_, err = stream.Recv()
		require.Error(t, err)
	}
	for _, method := range []string{"/made.up/One", "/made.up/Two", "/grpc.health.v1.Health/Three"} {
		err = conn.Invoke(ctx, method, &grpc_health_v1.HealthCheckRequest{}, &grpc_health_v1.HealthCheckResponse{})
		require.Equal(t, codes.Unimplemented, status.Code(err))
		require.ErrorContains(t, err, "unknown method "+method)
	}
	stop() // joins the handlers, so that every call has been counted

	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP keda_otel_scaler_grpc_requests_total gRPC calls that ended, by server, method and status code; a stream counts once.
# TYPE keda_otel_scaler_grpc_requests_total counter
keda_otel_scaler_grpc_requests_total{code="Internal",method="/grpc.health.v1.Health/Check",server="keda"} 1
keda_otel_scaler_grpc_requests_total{code="Internal",method="/grpc.health.v1.Health/Watch",server="keda"} 1
keda_otel_scaler_grpc_requests_total{code="OK",method="/grpc.health.v1.Health/Check",server="keda"} 1
keda_otel_scaler_grpc_requests_total{code="OK",method="/grpc.health.v1.Health/Watch",server="keda"} 1
keda_otel_scaler_grpc_requests_total{code="ResourceExhausted",method="/grpc.health.v1.Health/Check",server="keda"} 1
keda_otel_scaler_grpc_requests_total{code="Unimplemented",method="other",server="keda"} 3
# HELP keda_otel_scaler_panics_total Panics caught while answering a gRPC call; each is logged with its stack.
# TYPE keda_otel_scaler_panics_total counter
keda_otel_scaler_panics_total 2
`), "keda_otel_scaler_grpc_requests_total", "keda_otel_scaler_panics_total"))
	count, err := testutil.GatherAndCount(registry, "keda_otel_scaler_grpc_request_duration_seconds")
	require.NoError(t, err)
	require.Equal(t, 2, count, "Check and List: Watch is a stream")
	require.Equal(t, 2, strings.Count(log.String(), `panic="a bad mood"`))
	require.Contains(t, log.String(), "moody.Check", "the stack names the handler")
}

func TestNamesFollowTheConventions(t *testing.T) {
	registry := NewRegistry()
	g := NewGRPC(registry, slog.New(slog.DiscardHandler))
	g.requests.WithLabelValues("keda", other, "OK").Inc()
	for _, name := range []string{"keda_otel_scaler_build_info", "keda_otel_scaler_grpc_requests_total", "keda_otel_scaler_panics_total", "go_goroutines"} {
		count, err := testutil.GatherAndCount(registry, name)
		require.NoError(t, err)
		require.Equal(t, 1, count, name)
	}
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}
