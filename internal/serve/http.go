package serve

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/config"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/selfmetrics"
	"github.com/keda-otel-scaler/keda-otel-scaler/otlpreceiver"
)

func newHTTPServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler,
		// A peer that sends half a request holds a connection for this long.
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute, // above a scrape interval, so that Prometheus keeps its connection
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

const index = `keda-otel-scaler %s
A KEDA external scaler that answers from the OpenTelemetry metrics pushed to it.

OTLP over gRPC        %s
OTLP over HTTP        %s%s
KEDA external scaler  %s (gRPC, with health and reflection)
this page             %s
telemetry             %s/metrics
                      %[7]s/healthz
                      %[7]s/readyz
`

// indexHandler serves one page that says what lives where, and 404 otherwise.
func indexHandler(a Addresses) http.Handler {
	page := fmt.Sprintf(index, selfmetrics.ReadBuild().Version, a.OTLPGRPC, a.OTLPHTTP, otlpreceiver.MetricsPath, a.KEDAGRPC, a.HTTP, a.Telemetry)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, page) })
	return mux
}

// otlpHandler takes OTLP/HTTP in, at its own path and nowhere else.
func otlpHandler(cfg config.Config, receiver *otlpreceiver.Receiver) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(otlpreceiver.MetricsPath, receiver.Handler(cfg.MaxRequestBytes))
	return mux
}

// telemetryHandler serves the program's own metrics, its probes, and its
// profiles if they are wanted.
func telemetryHandler(registry *prometheus.Registry, state *state, profiling bool) http.Handler {
	mux := http.NewServeMux()
	if profiling {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		Registry:            registry,
		MaxRequestsInFlight: 10,
		Timeout:             10 * time.Second,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if reason := state.notReady(); reason != "" {
			plain(w, http.StatusServiceUnavailable, reason+"\n")
			return
		}
		plain(w, http.StatusOK, "ok\n")
	})
	return mux
}

func plain(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text)) // the peer's loss
}
