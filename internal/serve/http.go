package serve

import (
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/keda-otel-scaler/keda-otel-scaler/otlpreceiver"
)

// newHTTPServer serves handler, which may take so long for an answer.
func newHTTPServer(handler http.Handler, logger *slog.Logger, answer time.Duration) *http.Server {
	// HTTP/2 without TLS is what gRPC clients of the inspect API speak.
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:   handler,
		Protocols: protocols,
		// A peer that sends half a request holds a connection for this long.
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30*time.Second + answer, // it runs from the request on
		IdleTimeout:       2 * time.Minute,         // above a scrape interval, so that Prometheus keeps its connection
		// KEDA sends its query in the URL, and 16 KiB grow threefold by escaping.
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// otlpHandler takes OTLP/HTTP in, at its own path and nowhere else.
func otlpHandler(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(otlpreceiver.MetricsPath, metrics)
	mux.Handle("/", otlpreceiver.NotFound())
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
