package serve

import (
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	inspectv1 "github.com/keda-otel-scaler/keda-otel-scaler/proto/inspect/v1"
)

// TestNothingOpenTakesAway asks a server with no flags for all that it names on
// its page, and for what others have under such names, in every way that could
// change something: what was pushed is still there, and KEDA is still told it.
func TestNothingOpenTakesAway(t *testing.T) {
	i := start(t, "--warm-up=0")
	_, err := pmetricotlp.NewGRPCClient(dialGRPC(t, i.OTLPGRPC)).Export(t.Context(), push("queue_length", 42))
	require.NoError(t, err)
	told := func() float64 {
		t.Helper()
		response, err := pb.NewExternalScalerClient(dialGRPC(t, i.KEDAGRPC)).GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: object()})
		require.NoError(t, err)
		return response.MetricValues[0].MetricValueFloat
	}
	require.InDelta(t, 42, told(), 0)

	_, page := get(t, i.HTTP, "/")
	named := regexp.MustCompile(`(?m)/(?:api|keda|memstore|info)[a-z0-9/_]*`).FindAllString(page, -1)
	require.Contains(t, named, "/memstore/reset")
	foreign := []string{ // Prometheus' admin API and lifecycle, remote write, otel-add-on's, pprof
		"/api/v1/admin/tsdb/delete_series?match[]=queue_length", "/api/v1/admin/tsdb/clean_tombstones", "/api/v1/admin/tsdb/snapshot",
		"/api/v1/write", "/-/reload", "/-/quit", "/memstore/reset", "/keda/memstore/reset", "/reset", "/quitquitquit", "/debug/pprof/profile?seconds=1",
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, address := range []net.Addr{i.HTTP, i.Telemetry, i.OTLPHTTP} {
		for _, path := range append(named, foreign...) {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
				request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address.String()+path, strings.NewReader("{}"))
				require.NoError(t, err)
				request.Header.Set("Content-Type", "application/json")
				response, err := client.Do(request)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				if method == http.MethodDelete || slices.Contains(foreign, path) {
					require.GreaterOrEqual(t, response.StatusCode, 400, "%s %s", method, path)
				}
			}
		}
	}
	require.InDelta(t, 42, told(), 0)
	_, names := get(t, i.HTTP, "/memstore/names")
	require.Contains(t, names, "queue_length")
	_, err = i.wait(t)
	require.NoError(t, err)
}

// TestInspectOnlyReads: who adds a method that does more has to think of a flag.
func TestInspectOnlyReads(t *testing.T) {
	methods := inspectv1.File_inspect_v1_inspect_proto.Services().Get(0).Methods()
	require.NotZero(t, methods.Len())
	for i := range methods.Len() {
		require.Regexp(t, "^(Get|List|Watch)", string(methods.Get(i).Name()))
	}
}
