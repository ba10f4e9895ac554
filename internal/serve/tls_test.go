package serve

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/certtest"
	inspectv1 "github.com/keda-otel-scaler/keda-otel-scaler/proto/inspect/v1"
)

// TestClientCertificatesOnEveryListener: with one, all is as without TLS; nobody
// gets in with none, or in the clear.
func TestClientCertificatesOnEveryListener(t *testing.T) {
	ca := certtest.Authority(t)
	volume := certtest.NewVolume(t, certtest.Server(t, certtest.New(t, ca), ca))
	i := start(t, append(tlsFlags(t, volume, listenerFlags...), "--warm-up=0")...)
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	known, unknown := client([]*certtest.Cert{ca}, certtest.New(t, ca)), client([]*certtest.Cert{ca})

	_, err := pmetricotlp.NewGRPCClient(dialGRPCWithTLS(t, i.OTLPGRPC, known)).Export(ctx, push("queue_length", 40))
	require.NoError(t, err)
	metrics, err := pb.NewExternalScalerClient(dialGRPCWithTLS(t, i.KEDAGRPC, known)).GetMetrics(ctx, &pb.GetMetricsRequest{ScaledObjectRef: object()})
	require.NoError(t, err)
	require.InDelta(t, 40, metrics.GetMetricValues()[0].GetMetricValueFloat(), 0)
	body, err := push("over_http", 2).MarshalProto()
	require.NoError(t, err)
	for _, tc := range []struct {
		protocols func(*http.Protocols)
		want      int
	}{
		{func(p *http.Protocols) { p.SetHTTP1(true) }, 1},
		{func(p *http.Protocols) { p.SetHTTP2(true) }, 2},
	} {
		c := httpsClient(t, known.Clone(), true)
		transport := c.Transport.(*http.Transport)
		transport.ForceAttemptHTTP2, transport.Protocols = false, &http.Protocols{}
		tc.protocols(transport.Protocols)
		for _, url := range []string{"https://" + i.OTLPHTTP.String() + "/v1/metrics", "https://" + i.HTTP.String() + prometheusOTLP} {
			response, err := send(ctx, c, http.MethodPost, url, body, "Content-Type", "application/x-protobuf")
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, response.code)
			require.Equal(t, tc.want, response.http)
		}
		response, err := send(ctx, c, http.MethodGet, "https://"+i.HTTP.String()+"/api/v1/query?query=over_http", nil)
		require.NoError(t, err)
		require.Equal(t, tc.want, response.http)
		require.Contains(t, response.body, `"2"]}`)
	}
	var list inspectv1.ListScaledObjectsResponse
	require.NoError(t, dialGRPCWithTLS(t, i.HTTP, known).Invoke(ctx, inspectv1.InspectServiceListScaledObjectsProcedure, &inspectv1.ListScaledObjectsRequest{}, &list))
	require.Len(t, list.GetScaledObjects(), 1)

	for _, address := range []net.Addr{i.OTLPGRPC, i.KEDAGRPC} {
		for _, conn := range []*grpc.ClientConn{dialGRPCWithTLS(t, address, unknown), dialGRPC(t, address)} {
			err := conn.Invoke(ctx, "/any/Method", &inspectv1.ListScaledObjectsRequest{}, &inspectv1.ListScaledObjectsResponse{})
			require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
		}
	}
	for _, address := range []net.Addr{i.OTLPHTTP, i.HTTP} {
		_, err := send(ctx, httpsClient(t, unknown.Clone(), false), http.MethodGet, "https://"+address.String(), nil)
		require.Error(t, err) // why, if the alert comes before the reset; the server knows
		code, text := get(t, address, "/")
		require.Equal(t, http.StatusBadRequest, code)
		require.Contains(t, text, "Client sent an HTTP request to an HTTPS server")
	}
	for _, server := range []string{"otlp-grpc", "otlp-http", "keda-grpc", "http"} {
		counted := regexp.MustCompile(`keda_otel_scaler_tls_handshake_failures_total\{listener="` + server + `"\} [2-9]`)
		require.Eventually(t, func() bool { // a peer is told before it is counted
			_, telemetry := get(t, i.Telemetry, "/metrics")
			return counted.MatchString(telemetry)
		}, generous, time.Millisecond, server)
		i.log.waitFor(t, `level=WARN msg="a TLS handshake failed" listener=`+server+" peer=127.0.0.1:")
	}
	_, err = i.wait(t)
	require.NoError(t, err)
}

// TestRotationUnderLoad: certificates and authorities are replaced as kubelet
// does it, under senders and askers with kept and with new connections.
func TestRotationUnderLoad(t *testing.T) {
	before, after := certtest.Authority(t), certtest.Authority(t)
	both := []*certtest.Cert{before, after}
	volume := certtest.NewVolume(t, certtest.Server(t, certtest.New(t, before), before))
	i := start(t, append(tlsFlags(t, volume, listenerFlags...), "--warm-up=0")...)
	known := client(both, certtest.New(t, before))
	body, err := push("over_http", 2).MarshalProto()
	require.NoError(t, err)

	export := func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := pmetricotlp.NewGRPCClient(conn).Export(ctx, push("queue_length", 42))
		return err
	}
	poll := func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := pb.NewExternalScalerClient(conn).GetMetrics(ctx, &pb.GetMetricsRequest{ScaledObjectRef: object()})
		return err
	}
	overGRPC := func(address net.Addr, call func(context.Context, *grpc.ClientConn) error) []func(context.Context) error {
		kept := dialGRPCWithTLS(t, address, known)
		return []func(context.Context) error{
			func(ctx context.Context) error { return call(ctx, kept) },
			func(ctx context.Context) error { return call(ctx, dialGRPCWithTLS(t, address, known)) },
		}
	}
	overHTTP := func(method, url string) (all []func(context.Context) error) {
		for _, kept := range []bool{true, false} {
			c := httpsClient(t, known.Clone(), kept)
			all = append(all, func(ctx context.Context) error {
				response, err := send(ctx, c, method, url, body, "Content-Type", "application/x-protobuf")
				if err == nil && response.code != http.StatusOK {
					err = fmt.Errorf("%d: %s", response.code, response.body)
				}
				return err
			})
		}
		return all
	}
	require.NoError(t, export(t.Context(), dialGRPCWithTLS(t, i.OTLPGRPC, known)))
	stream, err := pb.NewExternalScalerClient(dialGRPCWithTLS(t, i.KEDAGRPC, known)).StreamIsActive(t.Context(), object())
	require.NoError(t, err)
	first, err := stream.Recv()
	require.NoError(t, err)
	require.True(t, first.GetResult())

	loads := slices.Concat(overGRPC(i.OTLPGRPC, export), overGRPC(i.KEDAGRPC, poll),
		overHTTP(http.MethodPost, "https://"+i.OTLPHTTP.String()+"/v1/metrics"), overHTTP(http.MethodGet, "https://"+i.HTTP.String()+"/api/v1/query?query=queue_length"))
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	requests := make([]atomic.Int64, len(loads))
	for n, request := range loads {
		working.Go(func() {
			for ctx.Err() == nil {
				// Not ctx: what has begun has to come to its end.
				if err := request(t.Context()); err != nil {
					t.Errorf("load %d: %v", n, err)
					return
				}
				requests[n].Add(1)
			}
		})
	}
	for _, step := range []struct {
		server  *certtest.Cert
		trusted []*certtest.Cert
	}{
		{certtest.New(t, before), []*certtest.Cert{before}},
		{certtest.New(t, before), both},
		{certtest.New(t, after), both},
		{certtest.New(t, after), both},
	} {
		volume.Swap(t, certtest.Server(t, step.server, step.trusted...))
		done := make([]int64, len(loads))
		for n := range done {
			done[n] = requests[n].Load()
		}
		require.Eventually(t, func() bool { // everywhere, and each load has been through it
			for _, address := range []net.Addr{i.OTLPGRPC, i.OTLPHTTP, i.KEDAGRPC, i.HTTP} {
				config := known.Clone()
				config.NextProtos = []string{"h2"}
				conn, err := tls.Dial("tcp", address.String(), config)
				if err != nil {
					return false
				}
				_ = conn.Close()
				if !conn.ConnectionState().PeerCertificates[0].Equal(step.server.Certificate) {
					return false
				}
			}
			for n := range done {
				if requests[n].Load() < done[n]+2 && !t.Failed() {
					return false
				}
			}
			return true
		}, generous, time.Millisecond)
	}
	stop()
	working.Wait()

	_, err = pmetricotlp.NewGRPCClient(dialGRPCWithTLS(t, i.OTLPGRPC, known)).Export(t.Context(), push("queue_length", 0))
	require.NoError(t, err)
	second, err := stream.Recv()
	require.NoError(t, err, "a stream lives on")
	require.False(t, second.GetResult())
	_, telemetry := get(t, i.Telemetry, "/metrics")
	// More if files were looked at while they were swapped, when some of the old
	// and some of the new may fit together.
	require.Regexp(t, `keda_otel_scaler_tls_reloads_total{listener="otlp-grpc",outcome="success"} [4-8]\n`, telemetry)
	require.Contains(t, telemetry, `keda_otel_scaler_tls_reloads_total{listener="otlp-grpc",outcome="failure"} 0`)
	_, err = i.wait(t)
	require.NoError(t, err)
}

// TestABadCertificateIsToldAndChangesNothing, not readiness either.
func TestABadCertificateIsToldAndChangesNothing(t *testing.T) {
	ca := certtest.Authority(t)
	volume := certtest.NewVolume(t, certtest.Server(t, certtest.New(t, ca)))
	i := start(t, tlsFlags(t, volume, "keda")...)
	volume.Swap(t, map[string][]byte{certtest.CertFile: []byte("x"), certtest.KeyFile: []byte("x")})
	i.log.waitFor(t, "the TLS of keda-grpc can't be used as it is now")
	code, body := get(t, i.Telemetry, "/readyz")
	require.Equal(t, http.StatusOK, code)
	require.Regexp(t, "^ok\nthe TLS of keda-grpc can't be used as it is now, so what was read before stays: .*has no certificate; want PEM[^\n]*\n$", body)
	_, err := pb.NewExternalScalerClient(dialGRPCWithTLS(t, i.KEDAGRPC, client([]*certtest.Cert{ca}))).GetMetricSpec(t.Context(), object())
	require.NoError(t, err)

	volume.Swap(t, certtest.Server(t, certtest.New(t, ca)))
	i.log.waitFor(t, "the TLS of keda-grpc read anew")
	_, body = get(t, i.Telemetry, "/readyz")
	require.Equal(t, "ok\n", body)
	_, err = i.wait(t)
	require.NoError(t, err)
}

func TestNoStartWithoutTheFiles(t *testing.T) {
	missing := certtest.NewVolume(t, nil)
	for _, flags := range [][]string{
		tlsFlags(t, missing, "http"),
		{"--otlp-token-file=" + missing.Path("otlp")},
		{"--http-token-file=" + missing.Path("http")},
	} {
		err := Run(t.Context(), testConfig(t, flags...), newLogBuffer().logger())
		require.ErrorContains(t, err, flags[len(flags)/2]+": open ", "in the plain, or with a wrong gate, is no way to start")
		require.ErrorContains(t, err, "no such file or directory")
	}
}

// TestStopsUnderHandshakes that never end.
func TestStopsUnderHandshakes(t *testing.T) {
	volume := certtest.NewVolume(t, certtest.Server(t, certtest.New(t, nil)))
	i := start(t, append(tlsFlags(t, volume, listenerFlags...), "--shutdown-timeout=1s")...)
	for _, address := range []net.Addr{i.OTLPGRPC, i.OTLPHTTP, i.KEDAGRPC, i.HTTP} {
		dialTCP(t, address, "")
		dialTCP(t, address, "\x16\x03\x01\x02\x00\x01") // half a hello
	}
	took, err := i.wait(t)
	require.NoError(t, err)
	require.Less(t, took, 5*time.Second)
}
