package config

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// load is one start of the program: a command line and an environment.
func load(t *testing.T, env map[string]string, args ...string) (Config, []string, error) {
	t.Helper()
	var c Config
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	c.Bind(flags)
	if err := flags.Parse(args); err != nil {
		return c, nil, err
	}
	notes, err := c.Load(flags, func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
	return c, notes, err
}

func TestDefaults(t *testing.T) {
	c, notes, err := load(t, nil)
	require.NoError(t, err)
	require.Empty(t, notes)
	c.origins = nil
	require.Equal(t, Config{
		OTLPGRPCAddress:      ":4317",
		OTLPHTTPAddress:      ":4319",
		KEDAAddress:          ":4318",
		HTTPAddress:          ":9090",
		TelemetryAddress:     ":8080",
		Retention:            2 * time.Minute,
		MaxRetention:         15 * time.Minute,
		WarmUp:               2 * time.Minute,
		MaxSeries:            1_000_000,
		MaxSeriesPerMetric:   1_000_000,
		MaxSamplesPerSeries:  1024,
		MaxRequestBytes:      16 << 20,
		MaxStreams:           100_000,
		MaxConnections:       20_000,
		ResourceAttributes:   []string{"*"},
		OnMissing:            MissingHold,
		QueryTimeout:         2 * time.Second,
		QueryMaxSamples:      5_000_000,
		QueryCacheSize:       10_000,
		HTTPCORSOrigin:       ".*",
		OTLPGRPCTLS:          TLS{MinVersion: "1.3"},
		OTLPHTTPTLS:          TLS{MinVersion: "1.3"},
		KEDATLS:              TLS{MinVersion: "1.3"},
		HTTPTLS:              TLS{MinVersion: "1.3"},
		AdmissionService:     "keda-otel-scaler",
		AdmissionTLS:         TLS{MinVersion: "1.3"},
		TLSReloadInterval:    10 * time.Second,
		SnapshotInterval:     5 * time.Second,
		SnapshotMaxBytes:     1 << 30,
		TelemetryMaxTriggers: 1000,
		LogLevel:             slog.LevelInfo,
		LogFormat:            LogText,
		ShutdownTimeout:      4 * time.Second,
	}, c)
}

// others is a value that differs from the default, for every flag.
var others = map[string]string{
	"otlp-grpc-address":            "127.0.0.1:1",
	"otlp-http-address":            "127.0.0.1:5",
	"keda-address":                 "127.0.0.1:2",
	"http-address":                 "127.0.0.1:3",
	"telemetry-address":            "[::1]:4",
	"profiling":                    "true",
	"retention":                    "5m0s",
	"max-retention":                "30m0s",
	"lookback":                     "30s",
	"warm-up":                      "0s",
	"max-series":                   "11",
	"max-series-per-metric":        "12",
	"max-samples-per-series":       "13",
	"max-request-bytes":            "14",
	"max-streams":                  "15",
	"max-connections":              "21",
	"max-inflight-bytes":           "19",
	"resource-attributes":          "[a.b,c]",
	"on-missing":                   "zero",
	"value-if-not-found":           "2.5",
	"query-timeout":                "1s",
	"query-max-samples":            "16",
	"query-cache-size":             "17",
	"query-max-concurrency":        "18",
	"http-sum-selectors":           "true",
	"http-allow-reset":             "true",
	"enforce-namespace-label":      "k8s_namespace_name",
	"http-cors-origin":             "",
	"otlp-grpc-tls-cert-file":      "/c",
	"otlp-grpc-tls-key-file":       "/k",
	"otlp-grpc-tls-client-ca-file": "/ca",
	"otlp-grpc-tls-min-version":    "1.2",
	"otlp-http-tls-cert-file":      "/c",
	"otlp-http-tls-key-file":       "/k",
	"otlp-http-tls-client-ca-file": "/ca",
	"otlp-http-tls-min-version":    "1.2",
	"keda-tls-cert-file":           "/c",
	"keda-tls-key-file":            "/k",
	"keda-tls-client-ca-file":      "/ca",
	"keda-tls-min-version":         "1.2",
	"http-tls-cert-file":           "/c",
	"http-tls-key-file":            "/k",
	"http-tls-client-ca-file":      "/ca",
	"http-tls-min-version":         "1.2",
	"admission-address":            "127.0.0.1:6",
	"admission-service":            "scaler",
	"admission-tls-cert-file":      "/c",
	"admission-tls-key-file":       "/k",
	"admission-tls-client-ca-file": "/ca",
	"admission-tls-min-version":    "1.2",
	"otlp-token-file":              "/o",
	"http-token-file":              "/h",
	"tls-reload-interval":          "1m0s",
	"snapshot-path":                "/s",
	"snapshot-interval":            "4s",
	"snapshot-max-bytes":           "19",
	"telemetry-max-triggers":       "7",
	"traces-endpoint":              "https://traces:4317",
	"log-level":                    "DEBUG",
	"log-format":                   "json",
	"shutdown-timeout":             "3s",
}

func TestEveryFlagHasAVariableThatTakesEffect(t *testing.T) {
	var c Config
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.Bind(all)
	all.VisitAll(func(flag *pflag.Flag) {
		if _, foreign := foreignFlags[flag.Name]; foreign {
			return
		}
		other, ok := others[flag.Name]
		require.True(t, ok, "--%s: add a value to the table", flag.Name)
		require.NotEqual(t, flag.DefValue, other)
		require.NotEmpty(t, flag.Usage)

		variable := Variable(flag.Name)
		require.False(t, strings.HasPrefix(variable, "KEDA_OTEL_SCALER_PORT") || strings.HasPrefix(variable, "KEDA_OTEL_SCALER_SERVICE_"),
			"%s: Kubernetes injects such a variable beside a Service of our name", variable)

		for _, commandLine := range []bool{false, true} {
			var c Config
			flags := pflag.NewFlagSet("", pflag.ContinueOnError)
			c.Bind(flags)
			env := map[string]string{variable: strings.Trim(other, "[]")}
			if strings.Contains(flag.Name, "address") {
				env[variable] = other
			}
			if listener, _, ok := strings.Cut(flag.Name, "-tls-"); ok && flag.Name != "tls-reload-interval" { // they need each other
				for _, name := range []string{listener + "-tls-cert-file", listener + "-tls-key-file"} {
					if name != flag.Name {
						env[Variable(name)] = "/x"
					}
				}
			}
			if flag.Name == "admission-address" {
				env[Variable("admission-tls-cert-file")], env[Variable("admission-tls-key-file")] = "/x", "/x"
			}
			if flag.Name == "value-if-not-found" {
				env[Variable("on-missing")] = MissingValue
			}
			want := other
			if commandLine { // the flag beats the variable
				require.NoError(t, flags.Parse([]string{"--" + flag.Name + "=" + examples[flag.Name]}), "the example must be right")
				want = flags.Lookup(flag.Name).Value.String()
				require.NotEqual(t, other, want)
			}
			_, err := c.Load(flags, func(name string) (string, bool) { value, ok := env[name]; return value, ok })
			require.NoError(t, err)
			require.Equal(t, want, flags.Lookup(flag.Name).Value.String(), variable)
		}
	})
}

// TestMaxRetentionFollowsTheRetention that is longer than its default.
func TestMaxRetentionFollowsTheRetention(t *testing.T) {
	for args, want := range map[string]time.Duration{
		"--retention=5m": 15 * time.Minute, "--retention=20m": 20 * time.Minute, "--retention=20m --max-retention=1h": time.Hour, "--max-retention=2m": 2 * time.Minute,
	} {
		c, _, err := load(t, nil, strings.Fields(args)...)
		require.NoError(t, err, args)
		require.Equal(t, want, c.MaxRetention, args)
	}
}

func TestNoResourceAttributes(t *testing.T) {
	c, _, err := load(t, map[string]string{Variable("resource-attributes"): ""})
	require.NoError(t, err)
	require.Empty(t, c.ResourceAttributes)
	c, _, err = load(t, nil, "--resource-attributes=")
	require.NoError(t, err)
	require.Empty(t, c.ResourceAttributes)
}

func TestRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		args string
		env  map[string]string
		want string
	}{
		{"not a duration", "--retention=soon", nil, `invalid argument "soon" for "--retention" flag: want a value such as 2m`},
		{"not a duration in a variable", "", map[string]string{"KEDA_OTEL_SCALER_RETENTION": "soon"}, "KEDA_OTEL_SCALER_RETENTION=soon: want a value such as 2m"},
		{"empty variable", "", map[string]string{"KEDA_OTEL_SCALER_MAX_SERIES": ""}, "KEDA_OTEL_SCALER_MAX_SERIES=: want a value such as 1000000"},
		{"no retention", "--retention=0", nil, "--retention=0s: want a duration above 0, for example --retention=2m"},
		{"no retention by alias", "", map[string]string{"METRIC_STORE_RETENTION_SECONDS": "0"}, "METRIC_STORE_RETENTION_SECONDS=0: want a duration above 0, for example METRIC_STORE_RETENTION_SECONDS=120"},
		{"retention of weeks", "--retention=200h", nil, "--retention=200h0m0s: want at most 168h0m0s; what is older belongs into a database, for example --retention=2m"},
		{"a longer retention than the longest", "--max-retention=1m", nil, "--max-retention=1m0s: want at least the retention, --retention=2m0s: write --max-retention=2m0s or more, or a shorter retention"},
		{"a longer retention by alias", "--max-retention=15m", map[string]string{"METRIC_STORE_RETENTION_SECONDS": "1200"}, "--max-retention=15m0s: want at least the retention, METRIC_STORE_RETENTION_SECONDS=1200: write --max-retention=20m0s or more, or a shorter retention"},
		{"longest retention in a variable", "", map[string]string{"KEDA_OTEL_SCALER_MAX_RETENTION": "1m"}, "KEDA_OTEL_SCALER_MAX_RETENTION=1m: want at least the retention, --retention=2m0s: write --max-retention=2m0s or more, or a shorter retention"},
		{"longest retention of weeks", "--max-retention=200h", nil, "--max-retention=200h0m0s: want at most 168h0m0s; what is older belongs into a database, for example --max-retention=15m"},
		{"negative bytes in flight", "--max-inflight-bytes=-1", nil, "--max-inflight-bytes=-1: want at least 0, for example --max-inflight-bytes=268435456"},
		{"negative concurrency", "--query-max-concurrency=-1", nil, "--query-max-concurrency=-1: want at least 0, for example --query-max-concurrency=20"},
		{"negative lookback", "--lookback=-1s", nil, "--lookback=-1s: want 0 (as long as the retention) or a duration above 0, for example --lookback=1m"},
		{"lookback above retention", "--lookback=3m", nil, "--lookback=3m0s: want at most the retention, --retention=2m0s, since nothing older is stored, for example --lookback=1m"},
		{"negative warm-up", "--warm-up=-1s", nil, "--warm-up=-1s: want 0 or a duration above 0, for example --warm-up=2m"},
		{"no query timeout", "--query-timeout=0", nil, "--query-timeout=0s: want a duration above 0, for example --query-timeout=2s"},
		{"no shutdown timeout", "--shutdown-timeout=0", nil, "--shutdown-timeout=0s: want a duration above 0 and at most 4.5s, for example --shutdown-timeout=4s"},
		{"long shutdown", "--shutdown-timeout=6s", nil, "--shutdown-timeout=6s: want a duration above 0 and at most 4.5s, for example --shutdown-timeout=4s"},
		{"no series", "--max-series=0", nil, "--max-series=0: want at least 1, for example --max-series=1000000"},
		{"no series per metric", "--max-series-per-metric=0", nil, "--max-series-per-metric=0: want at least 1, for example --max-series-per-metric=1000000"},
		{"one sample", "--max-samples-per-series=1", nil, "--max-samples-per-series=1: want at least 2, since a rate needs two, for example --max-samples-per-series=1024"},
		{"no request", "--max-request-bytes=0", nil, "--max-request-bytes=0: want at least 1, for example --max-request-bytes=16777216"},
		{"huge request", "--max-request-bytes=4294967296", nil, "--max-request-bytes=4294967296: want at most 2147483647, for example --max-request-bytes=16777216"},
		{"no streams", "--max-streams=0", nil, "--max-streams=0: want at least 1, for example --max-streams=100000"},
		{"no query samples", "--query-max-samples=0", nil, "--query-max-samples=0: want at least 1, for example --query-max-samples=5000000"},
		{"no cache", "--query-cache-size=0", nil, "--query-cache-size=0: want at least 1, for example --query-cache-size=10000"},
		{"no concurrency", "--query-max-concurrency=-1", nil, "--query-max-concurrency=-1: want at least 0, for example --query-max-concurrency=20"},
		{"a snapshot all the time", "--snapshot-interval=1ms", nil, "--snapshot-interval=1ms: want at least 100ms, for example --snapshot-interval=5s"},
		{"a snapshot too seldom", "--snapshot-path=/s --snapshot-interval=3m", nil, "--snapshot-interval=3m0s: want at most the retention, --retention=2m0s, since an older snapshot is none, for example --snapshot-interval=5s"},
		{"no snapshot", "--snapshot-max-bytes=0", nil, "--snapshot-max-bytes=0: want at least 1, for example --snapshot-max-bytes=1073741824"},
		{"negative triggers", "--telemetry-max-triggers=-1", nil, "--telemetry-max-triggers=-1: want at least 0, for example --telemetry-max-triggers=1000"},
		{"spans to no URL", "--traces-endpoint=otel-collector:4317", nil, "--traces-endpoint=otel-collector:4317: want the URL of an OTLP/gRPC receiver, http or https with a host and no path, for example --traces-endpoint=http://otel-collector.observability:4317"},
		{"spans over HTTP's path", "--traces-endpoint=http://otel-collector:4318/v1/traces", nil, "--traces-endpoint=http://otel-collector:4318/v1/traces: want the URL of an OTLP/gRPC receiver, http or https with a host and no path, for example --traces-endpoint=http://otel-collector.observability:4317"},
		{"spans to nobody", "--traces-endpoint=http://", nil, "--traces-endpoint=http://: want the URL of an OTLP/gRPC receiver, http or https with a host and no path, for example --traces-endpoint=http://otel-collector.observability:4317"},
		{"not a bool in a variable", "", map[string]string{"KEDA_OTEL_SCALER_HTTP_SUM_SELECTORS": "often"}, "KEDA_OTEL_SCALER_HTTP_SUM_SELECTORS=often: want a value such as false"},
		{"bad origin", "--http-cors-origin=(", nil, "--http-cors-origin=(: want a regular expression (error parsing regexp: missing closing ): `(`), for example --http-cors-origin=https://grafana\\.example\\.com"},
		{"a label that is never stored", "--enforce-namespace-label=k8s.namespace.name", nil, "--enforce-namespace-label=k8s.namespace.name: want a label as stored, of letters, digits and _, for example --enforce-namespace-label=namespace"},
		{"a label that is the metric's name", "--enforce-namespace-label=__name__", nil, "--enforce-namespace-label=__name__: want a label as stored, of letters, digits and _, for example --enforce-namespace-label=namespace"},
		{"a webhook without a certificate", "--admission-address=:9443", nil, "--admission-address=:9443: the API server asks over TLS only; add --admission-tls-cert-file, for example --admission-tls-cert-file=/etc/tls/tls.crt"},
		{"a webhook on a port that is taken", "--admission-address=:9090 --admission-tls-cert-file=/c --admission-tls-key-file=/k", nil, "--admission-address=:9090: the same address as --http-address=:9090; give each server its own, for example --admission-address=:9443"},
		{"a service with its namespace", "--admission-service=scaler.keda.svc", nil, "--admission-service=scaler.keda.svc: want the name alone, without namespace and port, for example --admission-service=keda-otel-scaler"},
		{"bad level", "--log-level=loud", nil, `invalid argument "loud" for "--log-level" flag: want a value such as info`},
		{"bad format", "--log-format=xml", nil, "--log-format=xml: want text or json, for example --log-format=text"},
		{"bad attributes", "--resource-attributes=a,,b", nil, "--resource-attributes=[a,,b]: want attribute names with commas and no spaces between them, * alone for all, or nothing for none, for example --resource-attributes=k8s.namespace.name,k8s.pod.name"},
		{"all and more attributes", "--resource-attributes=*,b", nil, "--resource-attributes=[*,b]: want attribute names with commas and no spaces between them, * alone for all, or nothing for none, for example --resource-attributes=k8s.namespace.name,k8s.pod.name"},
		{"bad policy", "--on-missing=guess", nil, "--on-missing=guess: want hold, zero, error or value, for example --on-missing=hold"},
		{"value without policy", "--value-if-not-found=0", nil, "--value-if-not-found=0: has no effect with --on-missing=hold; add --on-missing=value or leave it out, for example --value-if-not-found=1"},
		{"policy without value", "--on-missing=value", nil, "--on-missing=value: say which value, for example --value-if-not-found=1"},
		{"negative value", "--on-missing=value --value-if-not-found=-1", nil, "--value-if-not-found=-1: want a finite number, 0 or above, for example --value-if-not-found=1"},
		{"infinite value by alias", "", map[string]string{"METRIC_STORE_VALUE_IF_NOT_FOUND": "Inf"}, "METRIC_STORE_VALUE_IF_NOT_FOUND=Inf: want a finite number, 0 or above, for example METRIC_STORE_VALUE_IF_NOT_FOUND=0"},
		{"no port", "--keda-address=localhost", nil, "--keda-address=localhost: want host:port with a port from 0 to 65535, for example --keda-address=:4318"},
		{"big port", "--http-address=:70000", nil, "--http-address=:70000: want host:port with a port from 0 to 65535, for example --http-address=:9090"},
		{"one address twice", "--keda-address=:4317", nil, "--keda-address=:4317: the same address as --otlp-grpc-address=:4317; give each server its own, for example --keda-address=:4318"},
		{"one port under a wildcard", "--http-address=127.0.0.1:5000 --telemetry-address=0.0.0.0:5000", nil, "--telemetry-address=0.0.0.0:5000: the same address as --http-address=127.0.0.1:5000; give each server its own, for example --telemetry-address=:8080"},
		{"a certificate without a key", "--http-tls-cert-file=/c", nil, "--http-tls-cert-file=/c: has no key; add --http-tls-key-file, for example --http-tls-key-file=/etc/tls/tls.key"},
		{"a key without a certificate", "", map[string]string{"OTLP_TLS_KEY_FILE": "/k"}, "OTLP_TLS_KEY_FILE=/k: is the key of no certificate; add --otlp-grpc-tls-cert-file, for example --otlp-grpc-tls-cert-file=/etc/tls/tls.crt"},
		{"client authorities without a certificate", "--otlp-http-tls-client-ca-file=/ca", nil, "--otlp-http-tls-client-ca-file=/ca: can't ask clients for certificates without one of its own; add --otlp-http-tls-cert-file, for example --otlp-http-tls-cert-file=/etc/tls/tls.crt"},
		{"a version of no TLS", "--keda-tls-min-version=1.2", nil, "--keda-tls-min-version=1.2: has no effect without a certificate; add --keda-tls-cert-file, for example --keda-tls-cert-file=/etc/tls/tls.crt"},
		{"an old version", "--keda-tls-min-version=1.1", nil, "--keda-tls-min-version=1.1: want 1.2 or 1.3, for example --keda-tls-min-version=1.3"},
		{"a busy reload", "--tls-reload-interval=1ms", nil, "--tls-reload-interval=1ms: want at least 10ms, for example --tls-reload-interval=10s"},
		{"one port by alias", "", map[string]string{"REST_API_PORT": "4317"}, "REST_API_PORT=4317: the same address as --otlp-grpc-address=:4317; give each server its own, for example REST_API_PORT=9090"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := load(t, tc.env, strings.Fields(tc.args)...)
			require.EqualError(t, err, tc.want)
		})
	}
}

func TestAddressesThatDoNotCollide(t *testing.T) {
	_, _, err := load(t, nil, "--otlp-grpc-address=127.0.0.1:5000", "--otlp-http-address=127.0.0.1:0", "--keda-address=127.0.0.2:5000",
		"--http-address=127.0.0.1:0", "--telemetry-address=127.0.0.1:0")
	require.NoError(t, err)
}
