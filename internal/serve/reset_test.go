package serve

import (
	"net/http"
	"testing"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestResetWithTheFlagOnly, and neither of KEDA's ways in is told anything after it.
func TestResetWithTheFlagOnly(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		flags := []string{"--warm-up=0"}
		if allowed {
			flags = append(flags, "--http-allow-reset")
		}
		i := start(t, flags...)
		_, err := pmetricotlp.NewGRPCClient(dialGRPC(t, i.OTLPGRPC)).Export(t.Context(), push("queue_length", 42))
		require.NoError(t, err)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+i.HTTP.String()+"/memstore/reset", nil)
		require.NoError(t, err)
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())

		_, names := get(t, i.HTTP, "/memstore/names")
		code, body := get(t, i.HTTP, "/keda/api/v1/query?query=vector(0)")
		_, err = pb.NewExternalScalerClient(dialGRPC(t, i.KEDAGRPC)).GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: object()})
		if allowed {
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Equal(t, "[]", names)
			require.Equal(t, http.StatusUnprocessableEntity, code)
			require.Contains(t, body, "the scaler waits until")
			require.Equal(t, codes.Unavailable, status.Code(err))
		} else {
			require.Equal(t, http.StatusForbidden, response.StatusCode)
			require.Contains(t, names, "queue_length")
			require.Equal(t, http.StatusOK, code)
			require.NoError(t, err)
		}
		_, err = i.wait(t)
		require.NoError(t, err)
	}
}
