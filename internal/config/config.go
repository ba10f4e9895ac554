// Package config owns the settings of the serve command: their names, defaults,
// units, and which source wins. A flag beats the program's own environment
// variable, which beats otel-add-on's variable for the same thing, which beats
// the default.
//
// It reads nothing by itself (the caller hands it flags and a look-up) and
// knows none of the packages its settings end up in. Durations are
// time.Duration, sizes are bytes, the rest are counts.
package config

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// The values of OnMissing.
const (
	MissingHold  = "hold"
	MissingZero  = "zero"
	MissingError = "error"
	MissingValue = "value"
)

// The values of LogFormat.
const (
	LogText = "text"
	LogJSON = "json"
)

// MaxShutdown is the longest shutdown timeout accepted: the program promises to
// be gone within five seconds of SIGTERM, and needs a moment after the timeout.
const MaxShutdown = 4500 * time.Millisecond

// DefaultMaxRetention is how long a sample is stored that a trigger reads over a
// window longer than the retention, unless a user decides.
const DefaultMaxRetention = 15 * time.Minute

// Config is what the serve command needs to know. Its zero value is not usable:
// Bind fills in the defaults.
type Config struct {
	OTLPGRPCAddress  string // host:port for OTLP/gRPC
	OTLPHTTPAddress  string // host:port for OTLP/HTTP
	KEDAAddress      string // host:port for KEDA's external scaler gRPC
	HTTPAddress      string // host:port for people and their tools
	TelemetryAddress string // host:port for /metrics and the probes

	Retention    time.Duration // how long a sample is stored
	MaxRetention time.Duration // how long one is stored that a trigger reads over a longer window; at least Retention
	Lookback     time.Duration // how old the last sample of a live series may be; 0 is Retention
	WarmUp       time.Duration // of a start without a snapshot, during which every decision holds

	MaxSeries           int // series stored in all
	MaxSeriesPerMetric  int // series stored of one metric name
	MaxSamplesPerSeries int // samples stored of one series
	MaxRequestBytes     int // one OTLP request, after decompression
	MaxStreams          int // KEDA's open streams in all
	MaxConnections      int // open connections of each listener for OTLP
	MaxInflightBytes    int // OTLP requests that are not stored yet, in all; 0 follows GOMEMLIMIT

	ResourceAttributes []string // resource attributes that become labels; "*" alone is all, empty none

	OnMissing       string  // one of the Missing constants
	ValueIfNotFound float64 // the answer under MissingValue

	QueryTimeout    time.Duration // one evaluation
	QueryMaxSamples int           // samples one evaluation may load
	QueryCacheSize  int           // compiled queries kept

	Profiling           bool   // Go's profiles at the telemetry address
	QueryMaxConcurrency int    // requests of the HTTP API evaluated at a time; 0 follows GOMAXPROCS
	HTTPSumSelectors    bool   // answer as under /keda everywhere: sums of bare selectors, no empty result that hides load
	HTTPAllowReset      bool   // take POST /memstore/reset, which empties the store
	NamespaceLabel      string // label with which a query must name its asker's namespace; empty enforces none
	HTTPCORSOrigin      string // regular expression of the origins, in full, whose scripts may read the HTTP API; empty is none

	AdmissionAddress string // host:port for the API server's questions; empty is none
	AdmissionService string // name of the Service that triggers of ours have in scalerAddress

	OTLPGRPCTLS, OTLPHTTPTLS, KEDATLS, HTTPTLS, AdmissionTLS TLS

	OTLPTokenFile, HTTPTokenFile string        // bearer tokens, one a line; empty asks for none
	TLSReloadInterval            time.Duration // between two looks at the files of certificates and tokens

	SnapshotPath     string        // file that the store is written to and restored from; empty is none
	SnapshotInterval time.Duration // between two writes
	SnapshotMaxBytes int           // size of the file

	TracesEndpoint       string // URL of the OTLP/gRPC receiver that spans go to; empty is none
	TelemetryMaxTriggers int    // triggers with metrics of their own at /metrics; the others are counted

	LogLevel  slog.Level
	LogFormat string // LogText or LogJSON

	ShutdownTimeout time.Duration // how long requests in flight may take to finish; at most MaxShutdown

	origins map[string]origin // by flag name: who set it, for error messages
}

// origin is a setting as its user wrote it.
type origin struct{ name, value, example string }

// flagValue is a pflag.Value whose errors say what a right value looks like.
type flagValue struct {
	pflag.Value
	example string
}

func (v flagValue) Set(text string) error {
	if err := v.Value.Set(text); err != nil {
		return fmt.Errorf("want a value such as %s", v.example)
	}
	return nil
}

// examples holds a right value for every setting.
var examples = map[string]string{ //nolint:gosec // where tokens are is no token
	"otlp-grpc-address":            ":4317",
	"otlp-http-address":            ":4319",
	"keda-address":                 ":4318",
	"http-address":                 ":9090",
	"telemetry-address":            ":8080",
	"retention":                    "2m",
	"max-retention":                "15m",
	"lookback":                     "1m",
	"warm-up":                      "2m",
	"max-series":                   "1000000",
	"max-series-per-metric":        "1000000",
	"max-samples-per-series":       "1024",
	"max-request-bytes":            "16777216",
	"max-streams":                  "100000",
	"max-connections":              "10000",
	"max-inflight-bytes":           "268435456",
	"resource-attributes":          "k8s.namespace.name,k8s.pod.name",
	"on-missing":                   MissingHold,
	"value-if-not-found":           "1",
	"query-timeout":                "2s",
	"query-max-samples":            "5000000",
	"query-cache-size":             "10000",
	"profiling":                    "false",
	"query-max-concurrency":        "20",
	"http-sum-selectors":           "false",
	"http-allow-reset":             "false",
	"enforce-namespace-label":      "namespace",
	"http-cors-origin":             `https://grafana\.example\.com`,
	"otlp-grpc-tls-cert-file":      "/etc/tls/tls.crt",
	"otlp-grpc-tls-key-file":       "/etc/tls/tls.key",
	"otlp-grpc-tls-client-ca-file": "/etc/tls/ca.crt",
	"otlp-grpc-tls-min-version":    "1.3",
	"otlp-http-tls-cert-file":      "/etc/tls/tls.crt",
	"otlp-http-tls-key-file":       "/etc/tls/tls.key",
	"otlp-http-tls-client-ca-file": "/etc/tls/ca.crt",
	"otlp-http-tls-min-version":    "1.3",
	"keda-tls-cert-file":           "/etc/tls/tls.crt",
	"keda-tls-key-file":            "/etc/tls/tls.key",
	"keda-tls-client-ca-file":      "/etc/tls/ca.crt",
	"keda-tls-min-version":         "1.3",
	"http-tls-cert-file":           "/etc/tls/tls.crt",
	"http-tls-key-file":            "/etc/tls/tls.key",
	"http-tls-client-ca-file":      "/etc/tls/ca.crt",
	"http-tls-min-version":         "1.3",
	"admission-address":            ":9443",
	"admission-service":            "keda-otel-scaler",
	"admission-tls-cert-file":      "/etc/tls/tls.crt",
	"admission-tls-key-file":       "/etc/tls/tls.key",
	"admission-tls-client-ca-file": "/etc/tls/ca.crt",
	"admission-tls-min-version":    "1.3",
	"otlp-token-file":              "/etc/tokens/otlp",
	"http-token-file":              "/etc/tokens/http",
	"tls-reload-interval":          "10s",
	"snapshot-path":                "/var/lib/keda-otel-scaler/snapshot",
	"snapshot-interval":            "5s",
	"snapshot-max-bytes":           "1073741824",
	"telemetry-max-triggers":       "1000",
	"traces-endpoint":              "http://otel-collector.observability:4317",
	"log-level":                    "info",
	"log-format":                   LogText,
	"shutdown-timeout":             "4s",
}

// Bind adds the settings to flags, with c as their destination, and sets c to
// the defaults.
func (c *Config) Bind(flags *pflag.FlagSet) {
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.SortFlags = false
	f.StringVar(&c.OTLPGRPCAddress, "otlp-grpc-address", ":4317", "`address` to take OTLP over gRPC on")
	f.StringVar(&c.OTLPHTTPAddress, "otlp-http-address", ":4319", "`address` to take OTLP over HTTP on, at /v1/metrics")
	f.StringVar(&c.KEDAAddress, "keda-address", ":4318", "`address` to answer KEDA on (external scaler gRPC)")
	f.StringVar(&c.HTTPAddress, "http-address", ":9090", "`address` of the HTTP server for people and their tools")
	f.StringVar(&c.TelemetryAddress, "telemetry-address", ":8080", "`address` of /metrics, /healthz and /readyz")

	f.DurationVar(&c.Retention, "retention", 2*time.Minute, "how long a sample is stored")
	f.DurationVar(&c.MaxRetention, "max-retention", DefaultMaxRetention, "how far back the samples of a series are stored that a trigger's query reads over a longer window than --retention; at least the retention, which it follows unless it is set")
	f.DurationVar(&c.Lookback, "lookback", 0, "how old the last sample of a series may be to count; 0 is as long as the retention")
	// gRPC's backoff makes a sender wait up to 120 s before it connects again.
	f.DurationVar(&c.WarmUp, "warm-up", 2*time.Minute, "how long the scaler holds after a start without a snapshot, since senders may not be back")

	f.IntVar(&c.MaxSeries, "max-series", 1_000_000, "series stored in all; the scaler rejects and counts further new ones")
	f.IntVar(&c.MaxSeriesPerMetric, "max-series-per-metric", 1_000_000, "series stored of one metric name")
	f.IntVar(&c.MaxSamplesPerSeries, "max-samples-per-series", 1024, "samples stored of one series")
	f.IntVar(&c.MaxRequestBytes, "max-request-bytes", 16<<20, "size of one OTLP request, in bytes, after decompression")
	f.IntVar(&c.MaxStreams, "max-streams", 100_000, "open streams to KEDA in all")
	f.IntVar(&c.MaxConnections, "max-connections", 20_000, "open connections of each listener for OTLP; further ones are closed")
	f.IntVar(&c.MaxInflightBytes, "max-inflight-bytes", 0, "bytes of OTLP requests that are not stored yet, in all; the scaler rejects further requests as retryable; 0 is an eighth of GOMEMLIMIT, or 256 MiB without one")

	f.StringSliceVar(&c.ResourceAttributes, "resource-attributes", []string{"*"}, "resource attributes that become labels; * is all, empty is none")

	f.StringVar(&c.OnMissing, "on-missing", MissingHold, "what missing data means: hold (no less than before, or an error), zero, error or value")
	f.Float64Var(&c.ValueIfNotFound, "value-if-not-found", 0, "the answer under --on-missing=value")

	f.DurationVar(&c.QueryTimeout, "query-timeout", 2*time.Second, "how long one evaluation may take")
	f.IntVar(&c.QueryMaxSamples, "query-max-samples", 5_000_000, "samples one evaluation may load, and points its subqueries may have for each series")
	f.IntVar(&c.QueryCacheSize, "query-cache-size", 10_000, "compiled queries in the cache")
	f.IntVar(&c.QueryMaxConcurrency, "query-max-concurrency", 0, "requests of the HTTP API evaluated at a time; KEDA's gRPC calls don't count; 0 is half the cores (GOMAXPROCS), 1 at least")

	f.StringVar(&c.NamespaceLabel, "enforce-namespace-label", "", "`label` that must have a ScaledObject's namespace for its query to see a series, and under /keda that of the parameter namespace; none is all series for all")
	f.BoolVar(&c.HTTPSumSelectors, "http-sum-selectors", false, "answer over HTTP as under /keda everywhere: an instant query as a trigger, by one element or by an error on which KEDA holds, a bare selector by its sum")
	f.BoolVar(&c.HTTPAllowReset, "http-allow-reset", false, "let every client of the HTTP server empty the store by POST /memstore/reset, as otel-add-on has it; the scaler holds for the warm-up, 30s at least, after each")
	f.StringVar(&c.HTTPCORSOrigin, "http-cors-origin", ".*", "regular `expression` of the origins, in full, whose scripts may read the HTTP API; empty is none")

	f.StringVar(&c.AdmissionAddress, "admission-address", "", "`address` to answer the API server on, which asks whether a ScaledObject is right (validating webhook, HTTPS, at /validate); none is no webhook")
	f.StringVar(&c.AdmissionService, "admission-service", "keda-otel-scaler", "`name` of the Service by which scalerAddress names this program")

	c.bindAccess(f)

	f.StringVar(&c.SnapshotPath, "snapshot-path", "", "`file` to write series and decisions to, and to restore them from after a restart; none is no snapshot, and a start with the warm-up")
	f.DurationVar(&c.SnapshotInterval, "snapshot-interval", 5*time.Second, "how often the snapshot is written, besides at the end; if that takes long, less often, so that it is a tenth of the time at most")
	f.IntVar(&c.SnapshotMaxBytes, "snapshot-max-bytes", 1<<30, "size of the snapshot, in bytes; a larger one is not written, nor read")

	f.BoolVar(&c.Profiling, "profiling", false, "serve Go's profiles at /debug/pprof/ of the telemetry address, to every client that can reach it")
	f.IntVar(&c.TelemetryMaxTriggers, "telemetry-max-triggers", 1000, "triggers with metrics of their own in /metrics, six series each; the others are counted")
	f.StringVar(&c.TracesEndpoint, "traces-endpoint", "", "`URL` of an OTLP/gRPC receiver to send a span to for each question of KEDA and of the HTTP API, http or https; headers, certificates and the sampler are set by OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER, ...); none is no spans")
	f.TextVar(&c.LogLevel, "log-level", slog.LevelInfo, "least `level` logged: debug, info, warn or error")
	f.StringVar(&c.LogFormat, "log-format", LogText, "`format` of the log: text or json")

	f.DurationVar(&c.ShutdownTimeout, "shutdown-timeout", 4*time.Second, "how long requests in flight may take to finish after SIGTERM; at most 4.5s")

	f.VisitAll(func(flag *pflag.Flag) {
		flag.Value = flagValue{flag.Value, examples[flag.Name]}
		flags.AddFlag(flag)
	})
	for name := range foreignFlags {
		flags.String(name, "", "")
		flags.Lookup(name).Hidden = true
	}
}

// Variable is the name of the program's own environment variable for a flag.
//
// Kubernetes injects KEDA_OTEL_SCALER_SERVICE_* and KEDA_OTEL_SCALER_PORT* into
// every pod beside a Service named keda-otel-scaler, so no flag may begin with
// "service" or "port", and an unknown variable with the prefix is no mistake.
func Variable(flag string) string {
	return "KEDA_OTEL_SCALER_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
