package serve

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	inspectv1 "github.com/keda-otel-scaler/keda-otel-scaler/proto/inspect/v1"
)

// push is a request with one gauge of the given value, taken now.
func push(name string, value float64) pmetricotlp.ExportRequest {
	metrics := pmetric.NewMetrics()
	metric := metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName(name)
	point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
	point.SetDoubleValue(value)
	point.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	return pmetricotlp.NewExportRequestFromMetrics(metrics)
}

// object is a ScaledObject that scales on queue_length.
func object() *pb.ScaledObjectRef {
	return &pb.ScaledObjectRef{Name: "model", Namespace: "default", ScalerMetadata: map[string]string{
		"metricQuery": "sum(queue_length)", "targetValue": "5",
	}}
}

func TestAllServersAnswer(t *testing.T) {
	i := start(t, "--warm-up=0")
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()

	otlp := pmetricotlp.NewGRPCClient(dialGRPC(t, i.OTLPGRPC))
	response, err := otlp.Export(ctx, push("queue_length", 42))
	require.NoError(t, err)
	require.Empty(t, response.PartialSuccess().ErrorMessage())

	keda := dialGRPC(t, i.KEDAGRPC)
	metrics, err := pb.NewExternalScalerClient(keda).GetMetrics(ctx, &pb.GetMetricsRequest{ScaledObjectRef: object()})
	require.NoError(t, err)
	require.Len(t, metrics.GetMetricValues(), 1)
	require.InDelta(t, 42, metrics.GetMetricValues()[0].GetMetricValueFloat(), 0)

	for _, service := range []string{"", "liveness", "readiness"} {
		health, err := grpc_health_v1.NewHealthClient(keda).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
		require.NoError(t, err)
		require.Equal(t, grpc_health_v1.HealthCheckResponse_SERVING, health.GetStatus())
	}
	reflected, err := grpc_reflection_v1.NewServerReflectionClient(keda).ServerReflectionInfo(ctx)
	require.NoError(t, err)
	require.NoError(t, reflected.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "externalscaler.ExternalScaler"},
	}))
	_, err = reflected.Recv()
	require.NoError(t, err)
	require.NoError(t, reflected.CloseSend())

	for _, tc := range []struct {
		address net.Addr
		path    string
		code    int
		body    string
	}{
		{i.HTTP, "/", http.StatusOK, i.KEDAGRPC.String()},
		{i.HTTP, "/", http.StatusOK, "/keda/api/v1/"},
		{i.HTTP, "/nothing", http.StatusNotFound, ""},
		{i.HTTP, "/api/v1/query?query=queue_length", http.StatusOK, `"42"]}]}}`},
		{i.HTTP, "/keda/api/v1/query?query=queue_length", http.StatusOK, `{"metric":{},"value":[`},
		{i.HTTP, "/api/v1/query?query=vector(7)" + strings.Repeat("%20", 16<<10), http.StatusOK, `"7"`},
		{i.HTTP, "/api/v1/query?query=vector(7)" + strings.Repeat("%20", 64<<10), http.StatusRequestHeaderFieldsTooLarge, ""},
		{i.HTTP, "/api/v1/status/buildinfo", http.StatusOK, `"version":"3.`},
		{i.HTTP, "/info", http.StatusOK, `"retentionSeconds": "120"`},
		{i.HTTP, "/memstore/names", http.StatusOK, `"queue_length"`},
		{i.HTTP, "/api/v1/query?query=nothing", http.StatusOK, `"result":[]`},
		{i.HTTP, "/api/v1/query?query=sum(rate(queue_length[5m]))", http.StatusOK, "samples are stored for 2m (--retention); the query reads the last 5m"},
		{i.HTTP, "/keda/api/v1/query?query=nothing", http.StatusOK, `,"0"]}]}}`},
		{i.HTTP, "/keda/api/v1/query?query=queue_length&time=1600000000", http.StatusOK, `{"metric":{},"value":[1600000000,"42"]}`},
		{i.HTTP, "/keda/api/v1/query?query=queue_length[1m]", http.StatusBadRequest, "is a range of samples"},
		{i.Telemetry, "/healthz", http.StatusOK, "ok"},
		{i.Telemetry, "/readyz", http.StatusOK, "ok"},
		{i.Telemetry, "/metrics", http.StatusOK, `keda_otel_scaler_grpc_requests_total{code="OK",method="/externalscaler.ExternalScaler/GetMetrics",server="keda"} 1`},
		{i.Telemetry, "/metrics", http.StatusOK, `keda_otel_scaler_otlp_requests_total{outcome="ok",transport="grpc"} 1`},
		{i.Telemetry, "/metrics", http.StatusOK, "keda_otel_scaler_build_info{"},
		{i.Telemetry, "/metrics", http.StatusOK, "keda_otel_scaler_series 1"},
		{i.Telemetry, "/reset", http.StatusNotFound, ""},
		{i.Telemetry, "/debug/pprof/heap", http.StatusNotFound, ""},
	} {
		code, body := get(t, tc.address, tc.path)
		require.Equal(t, tc.code, code, "%.80s", tc.path)
		require.Contains(t, body, tc.body, "%.80s", tc.path)
	}

	for server, address := range map[string]net.Addr{"otlp-grpc": i.OTLPGRPC, "otlp-http": i.OTLPHTTP, "keda-grpc": i.KEDAGRPC, "http": i.HTTP, "telemetry": i.Telemetry} {
		require.Contains(t, i.log.String(), "msg=listening server="+server+" address="+address.String()+"\n")
	}
	_, err = i.wait(t)
	require.NoError(t, err)
}

func TestKEDAsPrometheusTriggerHoldsInTheWarmUp(t *testing.T) {
	i := start(t, "--warm-up=10m")
	code, body := get(t, i.HTTP, "/keda/api/v1/query?query=nothing")
	require.Equal(t, http.StatusUnprocessableEntity, code)
	require.Contains(t, body, "for the senders to come back")
	_, err := i.wait(t)
	require.NoError(t, err)
}

func TestProfilesIfWanted(t *testing.T) {
	i := start(t, "--profiling")
	for path, want := range map[string]string{
		"/debug/pprof/":                  "goroutine",
		"/debug/pprof/heap?debug=1&gc=1": "HeapAlloc",
		"/debug/pprof/cmdline":           "",
		"/debug/pprof/symbol":            "num_symbols",
	} {
		code, body := get(t, i.Telemetry, path)
		require.Equal(t, http.StatusOK, code, path)
		require.Contains(t, body, want, path)
	}
	_, err := i.wait(t)
	require.NoError(t, err)
}

func TestRequestAboveTheLimit(t *testing.T) {
	i := start(t, "--max-request-bytes=100")
	otlp := pmetricotlp.NewGRPCClient(dialGRPC(t, i.OTLPGRPC))
	_, err := otlp.Export(t.Context(), push(string(make([]byte, 200)), 1))
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	_, err = i.wait(t)
	require.NoError(t, err)
}

func TestAddressInUse(t *testing.T) {
	// Addresses that were free a moment ago, and one that is not.
	addresses := make([]string, 5)
	var taken net.Listener
	for n := range addresses {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { _ = listener.Close() }()
		addresses[n], taken = listener.Addr().String(), listener
		if n < 4 {
			defer func() {
				again, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addresses[n])
				require.NoError(t, err, "a socket stayed open")
				require.NoError(t, again.Close())
			}()
			require.NoError(t, listener.Close())
		}
	}
	cfg := testConfig(t, "--otlp-grpc-address="+addresses[0], "--keda-address="+addresses[1],
		"--http-address="+addresses[2], "--otlp-http-address="+addresses[3], "--telemetry-address="+taken.Addr().String())
	err := Run(t.Context(), cfg, newLogBuffer().logger(), func(Addresses) { t.Error("it started") })
	require.ErrorContains(t, err, "--telemetry-address="+addresses[4]+": listen tcp "+addresses[4]+": bind: address already in use")
}

func TestOneServerFailsAllStop(t *testing.T) {
	cfg := testConfig(t)
	sockets, err := listen(t.Context(), cfg)
	require.NoError(t, err)
	require.NoError(t, sockets.http.Close())
	err = run(t.Context(), cfg, newLogBuffer().logger(), sockets)
	require.ErrorContains(t, err, "http server: accept")
	_, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", sockets.keda.Addr().String())
	require.Error(t, err)
}

func TestBadPolicy(t *testing.T) {
	cfg := testConfig(t, "--on-missing=zero")
	cfg.OnMissing = "guess"
	require.ErrorContains(t, Run(t.Context(), cfg, newLogBuffer().logger()), "--on-missing=zero: ")
}

// TestInspect: over gRPC without TLS, over JSON, and with a watch that outlasts
// the server's deadlines for short answers and ends with it.
func TestInspect(t *testing.T) {
	i := start(t, "--warm-up=0")
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	_, err := pb.NewExternalScalerClient(dialGRPC(t, i.KEDAGRPC)).IsActive(ctx, object())
	require.NoError(t, err)

	conn := dialGRPC(t, i.HTTP) // the client that KEDA's own kind uses
	watch, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, inspectv1.InspectServiceWatchScaledObjectProcedure)
	require.NoError(t, err)
	require.NoError(t, watch.SendMsg(&inspectv1.WatchScaledObjectRequest{Namespace: "default", Name: "model"}))
	require.NoError(t, watch.CloseSend())
	receive := func() *inspectv1.Trigger {
		var m inspectv1.WatchScaledObjectResponse
		require.NoError(t, watch.RecvMsg(&m))
		require.Len(t, m.GetScaledObject().GetTriggers(), 1)
		return m.GetScaledObject().GetTriggers()[0]
	}
	require.Equal(t, "never_seen", receive().GetNow().GetCause())
	_, err = pmetricotlp.NewGRPCClient(dialGRPC(t, i.OTLPGRPC)).Export(ctx, push("queue_length", 42))
	require.NoError(t, err)
	require.Equal(t, "active: 42 of target 5 a replica -> 9 replicas", receive().GetVerdict())

	var list inspectv1.ListScaledObjectsResponse
	require.NoError(t, conn.Invoke(ctx, inspectv1.InspectServiceListScaledObjectsProcedure, &inspectv1.ListScaledObjectsRequest{}, &list))
	require.Len(t, list.GetScaledObjects(), 1)
	response, err := http.Post("http://"+i.HTTP.String()+inspectv1.InspectServiceListMetricsProcedure, "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	http.DefaultClient.CloseIdleConnections()
	require.Contains(t, string(body), "queue_length")

	took, err := i.wait(t)
	require.NoError(t, err)
	require.Less(t, took, 3*time.Second, "watches end by themselves")
	require.ErrorIs(t, watch.RecvMsg(&inspectv1.WatchScaledObjectResponse{}), io.EOF)
	require.NotContains(t, i.log.String(), "cutting off")
}

// TestOTLPOverHTTP pushes as a Collector's otlphttp exporter does, and finds
// nothing else there.
func TestOTLPOverHTTP(t *testing.T) {
	i := start(t, "--warm-up=0", "--max-request-bytes=1000")
	request := push("queue_length", 42)
	body, err := request.MarshalProto()
	require.NoError(t, err)
	post := func(to net.Addr, path string, body []byte) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+to.String()+path, bytes.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/x-protobuf")
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	require.Equal(t, http.StatusOK, post(i.OTLPHTTP, "/v1/metrics", body))
	require.Equal(t, http.StatusNotFound, post(i.OTLPHTTP, "/v1/traces", body))
	require.Equal(t, http.StatusRequestEntityTooLarge, post(i.OTLPHTTP, "/v1/metrics", make([]byte, 1001)))
	require.Equal(t, http.StatusOK, post(i.HTTP, "/api/v1/otlp/v1/metrics", body))
	require.Equal(t, http.StatusRequestEntityTooLarge, post(i.HTTP, "/api/v1/otlp/v1/metrics", make([]byte, 1001)))
	_, telemetry := get(t, i.Telemetry, "/metrics")
	require.Contains(t, telemetry, `keda_otel_scaler_otlp_requests_total{outcome="ok",transport="http"} 2`)

	metrics, err := pb.NewExternalScalerClient(dialGRPC(t, i.KEDAGRPC)).GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: object()})
	require.NoError(t, err)
	require.InDelta(t, 42, metrics.GetMetricValues()[0].GetMetricValueFloat(), 0)
	_, err = i.wait(t)
	require.NoError(t, err)
}
