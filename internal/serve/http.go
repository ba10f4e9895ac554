package serve

import (
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/access"
	"github.com/keda-otel-scaler/keda-otel-scaler/otlpreceiver"
)

// newHTTPServer serves handler, which may take so long for an answer, over TLS
// unless that is nil.
func newHTTPServer(handler http.Handler, tls *access.TLS, logger *slog.Logger, answer time.Duration) *http.Server {
	// HTTP/2, without TLS too, is what gRPC clients of the inspect API speak.
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(tls != nil)
	protocols.SetUnencryptedHTTP2(tls == nil)
	server := &http.Server{
		Handler:   handler,
		Protocols: protocols,
		// A peer that sends half a request holds a connection for this long.
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      30*time.Second + answer, // it runs from the request on
		IdleTimeout:       2 * time.Minute,         // above a scrape interval, so that Prometheus keeps its connection
		// KEDA sends its query in the URL, and 16 KiB grow threefold by escaping.
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	if tls != nil {
		server.TLSConfig = tls.Config()
		server.ErrorLog = log.New(handshakeLog{tls, server.ErrorLog.Writer()}, "", 0)
	}
	return server
}

// handshakeLog takes what net/http has to say of handshakes, one line each, to
// where they are counted.
type handshakeLog struct {
	tls *access.TLS
	io.Writer
}

// Write implements io.Writer.
func (l handshakeLog) Write(line []byte) (int, error) {
	failed, ok := strings.CutPrefix(string(line), "http: TLS handshake error from ")
	if !ok {
		return l.Writer.Write(line)
	}
	peer, reason, _ := strings.Cut(strings.TrimSpace(failed), ": ")
	l.tls.Failed(peer, reason)
	return len(line), nil
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
func telemetryHandler(registry *prometheus.Registry, state *state, gates *gates, snapshots *snapshots, profiling bool) http.Handler {
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
		// A bad file is no reason to turn traffic away: what was read before serves it.
		plain(w, http.StatusOK, "ok\n"+snapshots.detail()+gates.problems())
	})
	return mux
}

func plain(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text)) // the peer's loss
}
