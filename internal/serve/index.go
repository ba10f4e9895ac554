package serve

import (
	"fmt"
	"net/http"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/selfmetrics"
	"github.com/keda-otel-scaler/keda-otel-scaler/otlpreceiver"
)

const index = `keda-otel-scaler %s
A KEDA external scaler that answers from the OpenTelemetry metrics pushed to it.

OTLP over gRPC        %s
OTLP over HTTP        %s%s
KEDA external scaler  %s (gRPC, with health and reflection)
telemetry             %[7]s/metrics, /healthz, /readyz

On this server, %[6]s:

Prometheus' API       /api/v1/query, query_range, series, labels, label/<name>/values,
                      metadata, format_query, parse_query, status/buildinfo, status/tsdb
for KEDA's            /keda/api/v1/...: the same, but an instant query is answered as a
prometheus trigger    trigger is: by one element, or by an error on which KEDA holds
OTLP over HTTP        POST /api/v1/otlp/v1/metrics, as to Prometheus
otel-add-on's API     /info, /memstore/names, /memstore/data, POST /memstore/query, and
                      with --http-allow-reset POST /memstore/reset
why did it scale?     /keda_otel_scaler.inspect.v1.InspectService/..., gRPC and JSON

keda-otel-scaler query 'sum(vllm:num_requests_running)' asks it from a command line,
keda-otel-scaler explain tells why a ScaledObject was, or was not, scaled.
`

// indexHandler serves one page that says what lives where.
func indexHandler(a Addresses) http.Handler {
	page := fmt.Sprintf(index, selfmetrics.ReadBuild().Version, a.OTLPGRPC, a.OTLPHTTP, otlpreceiver.MetricsPath, a.KEDAGRPC, a.HTTP, a.Telemetry)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, page) })
}
