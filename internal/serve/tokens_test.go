package serve

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/certtest"
	inspectv1 "github.com/keda-otel-scaler/keda-otel-scaler/proto/inspect/v1"
)

const (
	senders = "a-token-of-a-sender"
	askers  = "a-token-of-an-asker"
)

// withTokens starts with files of tokens, each if it is given.
func withTokens(t *testing.T, otlp, http string, flags ...string) (*instance, *certtest.Volume) {
	t.Helper()
	volume := certtest.NewVolume(t, map[string][]byte{"otlp": []byte(otlp), "http": []byte(http)})
	if otlp != "" {
		flags = append(flags, "--otlp-token-file="+volume.Path("otlp"))
	}
	if http != "" {
		flags = append(flags, "--http-token-file="+volume.Path("http"))
	}
	return start(t, append(flags, "--tls-reload-interval=10ms")...), volume
}

// exportAs sends the same request over gRPC, with one authorization if that is
// not empty.
func exportAs(t *testing.T, i *instance, authorization string) error {
	t.Helper()
	ctx := t.Context()
	if authorization != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", authorization)
	}
	_, err := pmetricotlp.NewGRPCClient(dialGRPC(t, i.OTLPGRPC)).Export(ctx, push("queue_length", 1))
	return err
}

// postAs sends the same request over HTTP.
func postAs(t *testing.T, to net.Addr, path, authorization string) answered {
	t.Helper()
	body, err := push("queue_length", 1).MarshalProto()
	require.NoError(t, err)
	header := []string{"Content-Type", "application/x-protobuf"}
	if authorization != "" {
		header = append(header, "Authorization", authorization)
	}
	response, err := send(t.Context(), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, http.MethodPost, "http://"+to.String()+path, body, header...)
	require.NoError(t, err)
	return response
}

// TestOTLPWantsAToken on all three ways in, and takes in nothing of a request
// without one.
func TestOTLPWantsAToken(t *testing.T) {
	i, volume := withTokens(t, "# the gateway's\n"+senders+"\n\nanother-token-of-theirs\n", "")
	ways := []struct {
		to   net.Addr
		path string
	}{{i.OTLPHTTP, "/v1/metrics"}, {i.HTTP, prometheusOTLP}}
	for _, wrong := range []string{"", "Bearer", "Bearer ", "Bearer wrong-but-long-enough", "Basic " + senders, senders, "Bearer " + senders + "x", "Bearer " + askers} {
		err := exportAs(t, i, wrong)
		require.Equal(t, codes.Unauthenticated, grpcstatus.Code(err), "%q: %v", wrong, err)
		require.ErrorContains(t, err, "authorization: Bearer <token>")
		for _, way := range ways {
			response := postAs(t, way.to, way.path, wrong)
			require.Equal(t, http.StatusUnauthorized, response.code, "%q", wrong)
			require.Equal(t, `Bearer realm="keda-otel-scaler"`, response.header.Get("WWW-Authenticate"))
			require.Equal(t, "application/x-protobuf", response.header.Get("Content-Type"))
			var said status.Status
			require.NoError(t, proto.Unmarshal([]byte(response.body), &said), "what OTLP wants in every error")
			require.Equal(t, int32(codes.Unauthenticated), said.GetCode())
			require.Contains(t, said.GetMessage(), "authorization: Bearer <token>")
		}
	}
	_, telemetry := get(t, i.Telemetry, "/metrics")
	require.Contains(t, telemetry, `keda_otel_scaler_token_refusals_total{listener="otlp"} 24`)
	require.NotRegexp(t, `keda_otel_scaler_otlp_requests_total\{outcome="[a-z_]+"\} [1-9]`, telemetry, "nothing of them was read")
	require.Contains(t, telemetry, "keda_otel_scaler_series 0\n")

	right := []string{"Bearer " + senders, "bearer  another-token-of-theirs"}
	for _, authorization := range right {
		require.NoError(t, exportAs(t, i, authorization))
		for _, way := range ways {
			response := postAs(t, way.to, way.path, authorization)
			require.Equal(t, http.StatusOK, response.code)
		}
	}
	code, _ := get(t, i.HTTP, "/api/v1/query?query=queue_length")
	require.Equal(t, http.StatusOK, code, "who asks needs none of them")

	volume.Swap(t, map[string][]byte{"otlp": []byte("a-fresh-token-of-a-sender"), "http": nil})
	i.log.waitFor(t, "the token file of otlp read anew")
	require.NoError(t, exportAs(t, i, "Bearer a-fresh-token-of-a-sender"))
	require.Equal(t, codes.Unauthenticated, grpcstatus.Code(exportAs(t, i, right[0])))

	volume.Swap(t, map[string][]byte{"otlp": []byte("# all gone"), "http": nil})
	i.log.waitFor(t, "the token file of otlp can't be used as it is now")
	_, body := get(t, i.Telemetry, "/readyz")
	require.Contains(t, body, "has no token\n")
	require.NoError(t, exportAs(t, i, "Bearer a-fresh-token-of-a-sender"))
	require.NotContains(t, i.log.String(), "fresh-token")
	_, err := i.wait(t)
	require.NoError(t, err)
}

// TestHTTPWantsAToken for every path, and OTLP's path another if there is one.
func TestHTTPWantsAToken(t *testing.T) {
	for name, otlp := range map[string]string{"without a token for OTLP": "", "with one": senders} {
		t.Run(name, func(t *testing.T) {
			i, _ := withTokens(t, otlp, askers)
			c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			for _, path := range []string{"/", "/api/v1/query?query=1", "/keda/api/v1/query?query=1", "/memstore/names", "/info", "/nothing", inspectv1.InspectServiceListMetricsProcedure} {
				response, err := send(t.Context(), c, http.MethodGet, "http://"+i.HTTP.String()+path, nil)
				require.NoError(t, err)
				require.Equal(t, http.StatusUnauthorized, response.code, path)
				require.Equal(t, `Bearer realm="keda-otel-scaler"`, response.header.Get("WWW-Authenticate"))
				require.Contains(t, response.body, "authorization: Bearer <token>")
				response, err = send(t.Context(), c, http.MethodGet, "http://"+i.HTTP.String()+path, nil, "Authorization", "Bearer "+askers)
				require.NoError(t, err)
				require.NotEqual(t, http.StatusUnauthorized, response.code, path)
			}
			response, err := send(t.Context(), c, http.MethodOptions, "http://"+i.HTTP.String()+"/api/v1/query", nil, "Origin", "https://grafana")
			require.NoError(t, err)
			require.Contains(t, response.header.Get("Access-Control-Allow-Headers"), "Authorization", "a browser asks first, without a token")

			var list inspectv1.ListScaledObjectsResponse
			invoke := func(ctx context.Context) error {
				return dialGRPC(t, i.HTTP).Invoke(ctx, inspectv1.InspectServiceListScaledObjectsProcedure, &inspectv1.ListScaledObjectsRequest{}, &list)
			}
			require.Equal(t, codes.Unauthenticated, grpcstatus.Code(invoke(t.Context())))
			require.NoError(t, invoke(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+askers)))

			pushing := "Bearer " + askers
			if otlp != "" {
				response := postAs(t, i.HTTP, prometheusOTLP, pushing)
				require.Equal(t, http.StatusUnauthorized, response.code, "who may ask may not push")
				pushing = "Bearer " + otlp
			}
			response = postAs(t, i.HTTP, prometheusOTLP, pushing)
			require.Equal(t, http.StatusOK, response.code)
			require.Equal(t, otlp != "", exportAs(t, i, "") != nil, "OTLP's own servers have their own tokens")
			_, err = i.wait(t)
			require.NoError(t, err)
		})
	}
}

// TestTheHTTPServerIsNoWayAroundClientCertificates of the servers for OTLP.
func TestTheHTTPServerIsNoWayAroundClientCertificates(t *testing.T) {
	ca := certtest.Authority(t)
	volume := certtest.NewVolume(t, certtest.Server(t, certtest.New(t, ca), ca))
	for _, listener := range []string{"otlp-grpc", "otlp-http"} {
		i, _ := withTokens(t, "", askers, tlsFlags(t, volume, listener)...)
		response := postAs(t, i.HTTP, prometheusOTLP, "Bearer "+askers)
		require.Equal(t, http.StatusForbidden, response.code)
		require.Contains(t, response.body, "--http-tls-client-ca-file")
		_, telemetry := get(t, i.Telemetry, "/metrics")
		require.Contains(t, telemetry, "keda_otel_scaler_series 0\n")
		_, err := i.wait(t)
		require.NoError(t, err)
	}
	i := start(t, tlsFlags(t, volume, "otlp-grpc", "http")...)
	body, err := push("queue_length", 1).MarshalProto()
	require.NoError(t, err)
	response, err := send(t.Context(), httpsClient(t, client([]*certtest.Cert{ca}, certtest.New(t, ca)), false), http.MethodPost,
		"https://"+i.HTTP.String()+prometheusOTLP, body, "Content-Type", "application/x-protobuf")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.code, "here a certificate was shown")
	_, err = i.wait(t)
	require.NoError(t, err)
}

// TestAMessageWithoutATokenIsNotRead: one that is too large is not found to be.
func TestAMessageWithoutATokenIsNotRead(t *testing.T) {
	i, _ := withTokens(t, senders, "", "--max-request-bytes=100")
	_, err := pmetricotlp.NewGRPCClient(dialGRPC(t, i.OTLPGRPC)).Export(t.Context(), push(strings.Repeat("x", 1000), 1))
	require.Equal(t, codes.Unauthenticated, grpcstatus.Code(err))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+senders)
	_, err = pmetricotlp.NewGRPCClient(dialGRPC(t, i.OTLPGRPC)).Export(ctx, push(strings.Repeat("x", 1000), 1))
	require.Equal(t, codes.ResourceExhausted, grpcstatus.Code(err))
	_, err = i.wait(t)
	require.NoError(t, err)
}
