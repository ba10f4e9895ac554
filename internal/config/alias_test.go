package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOtelAddOnAliases walks the variables kedify/otel-add-on reads: each takes
// effect, is refused, or is noted, but never ignored in silence.
func TestOtelAddOnAliases(t *testing.T) {
	for _, tc := range []struct {
		variable, value string
		check           func(Config) bool // the effect
		note, err       string            // or the sentence
	}{
		{variable: "OTLP_RECEIVER_PORT", value: "5317", check: func(c Config) bool { return c.OTLPGRPCAddress == ":5317" }},
		{variable: "OTLP_RECEIVER_PORT", value: "tcp://10.0.0.1:4317", err: "OTLP_RECEIVER_PORT=tcp://10.0.0.1:4317: want a port from 0 to 65535, for example OTLP_RECEIVER_PORT=4317"},
		{variable: "KEDA_EXTERNAL_SCALER_PORT", value: "5318", check: func(c Config) bool { return c.KEDAAddress == ":5318" }},
		{variable: "REST_API_PORT", value: "5090", check: func(c Config) bool { return c.HTTPAddress == ":5090" }},
		{variable: "INTERNAL_METRICS_PORT", value: "5080", check: func(c Config) bool { return c.TelemetryAddress == ":5080" }},
		{variable: "METRIC_STORE_RETENTION_SECONDS", value: "300", check: func(c Config) bool { return c.Retention == 5*time.Minute }},
		{variable: "METRIC_STORE_RETENTION_SECONDS", value: "5m", err: "METRIC_STORE_RETENTION_SECONDS=5m: want a whole number of seconds, for example METRIC_STORE_RETENTION_SECONDS=120"},
		{variable: "METRIC_STORE_RETENTION_SECONDS", value: "", check: func(c Config) bool { return c.Retention == 2*time.Minute }},
		{variable: "METRIC_STORE_LAZY_SERIES", value: "true", note: "METRIC_STORE_LAZY_SERIES=true has no effect: every series is stored when it arrives, and --max-series bounds them"},
		{variable: "METRIC_STORE_LAZY_AGGREGATES", value: "true", note: "METRIC_STORE_LAZY_AGGREGATES=true has no effect: aggregates are computed from the samples when they are asked for, never stored"},
		{variable: "METRIC_STORE_ERROR_IF_NOT_FOUND", value: "true", check: func(c Config) bool { return c.OnMissing == MissingError }},
		{variable: "METRIC_STORE_ERROR_IF_NOT_FOUND", value: "false", note: "METRIC_STORE_ERROR_IF_NOT_FOUND=false has no effect: --on-missing decides, and --on-missing=zero is what otel-add-on did"},
		{variable: "METRIC_STORE_ERROR_IF_NOT_FOUND", value: "maybe", err: "METRIC_STORE_ERROR_IF_NOT_FOUND=maybe: want true or false, for example METRIC_STORE_ERROR_IF_NOT_FOUND=true"},
		{variable: "METRIC_STORE_VALUE_IF_NOT_FOUND", value: "1.5", check: func(c Config) bool { return c.OnMissing == MissingValue && c.ValueIfNotFound == 1.5 }},
		{variable: "METRIC_STORE_VALUE_IF_NOT_FOUND", value: "0.", note: "METRIC_STORE_VALUE_IF_NOT_FOUND=0. has no effect: it is otel-add-on's default, and what missing data means is decided by why it is missing; --on-missing=zero makes it 0 always"},
		{variable: "METRIC_STORE_VALUE_IF_NOT_FOUND", value: "some", err: "METRIC_STORE_VALUE_IF_NOT_FOUND=some: want a value such as 1"},
		{variable: "IS_ACTIVE_POLLING_INTERVAL_MS", value: "500", note: "IS_ACTIVE_POLLING_INTERVAL_MS=500 has no effect: streams are driven by the data and send a change as it happens"},
		{variable: "OTLP_TLS_KEY_FILE", value: "", check: func(Config) bool { return true }},
		{variable: "OTLP_CERTIFICATE_RELOAD_INTERVAL", value: "5m", check: func(c Config) bool { return c.TLSReloadInterval == 5*time.Minute }},
		{variable: "OTLP_CERTIFICATE_RELOAD_INTERVAL", value: "often", err: "OTLP_CERTIFICATE_RELOAD_INTERVAL=often: want a value such as 10s"},
		{variable: "KEDA_TLS_ENABLED", value: "true", err: "KEDA_TLS_ENABLED=true: there is no certificate; add KEDA_TLS_CERT_FILE and KEDA_TLS_KEY_FILE, for example KEDA_TLS_CERT_FILE=/etc/tls/tls.crt"},
		{variable: "KEDA_TLS_ENABLED", value: "false", check: func(Config) bool { return true }},
		{variable: "KEDA_TLS_ENABLED", value: "on", err: "KEDA_TLS_ENABLED=on: want true or false, for example KEDA_TLS_ENABLED=true"},
	} {
		t.Run(tc.variable+"="+tc.value, func(t *testing.T) {
			c, notes, err := load(t, map[string]string{tc.variable: tc.value})
			if tc.err != "" {
				require.EqualError(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			if tc.note != "" {
				require.Equal(t, []string{tc.note}, notes)
				return
			}
			require.Empty(t, notes)
			require.True(t, tc.check(c), "no effect")
		})
	}
}

func TestAliasesThatMeet(t *testing.T) {
	for _, tc := range []struct {
		name  string
		env   map[string]string
		args  []string
		check func(*testing.T, Config)
		notes []string
	}{
		{
			name: "a flag beats an alias",
			env:  map[string]string{"OTLP_RECEIVER_PORT": "5317"},
			args: []string{"--otlp-grpc-address=:6317"},
			check: func(t *testing.T, c Config) {
				require.Equal(t, ":6317", c.OTLPGRPCAddress)
			},
			notes: []string{"OTLP_RECEIVER_PORT=5317 has no effect: --otlp-grpc-address=:6317 comes first"},
		},
		{
			name: "our variable beats an alias",
			env:  map[string]string{"METRIC_STORE_RETENTION_SECONDS": "60", "KEDA_OTEL_SCALER_RETENTION": "3m"},
			check: func(t *testing.T, c Config) {
				require.Equal(t, 3*time.Minute, c.Retention)
			},
			notes: []string{"METRIC_STORE_RETENTION_SECONDS=60 has no effect: KEDA_OTEL_SCALER_RETENTION=3m comes first"},
		},
		{
			name: "the error beats the value",
			env:  map[string]string{"METRIC_STORE_ERROR_IF_NOT_FOUND": "true", "METRIC_STORE_VALUE_IF_NOT_FOUND": "3"},
			check: func(t *testing.T, c Config) {
				require.Equal(t, MissingError, c.OnMissing)
			},
			notes: []string{"METRIC_STORE_VALUE_IF_NOT_FOUND=3 has no effect: METRIC_STORE_ERROR_IF_NOT_FOUND=true comes first"},
		},
		{
			name: "no error and a value, as the chart renders them",
			env:  map[string]string{"METRIC_STORE_ERROR_IF_NOT_FOUND": "false", "METRIC_STORE_VALUE_IF_NOT_FOUND": "3"},
			check: func(t *testing.T, c Config) {
				require.Equal(t, MissingValue, c.OnMissing)
				require.InDelta(t, 3, c.ValueIfNotFound, 0)
			},
		},
		{
			name: "a policy of ours leaves the value alias aside",
			env:  map[string]string{"METRIC_STORE_VALUE_IF_NOT_FOUND": "3"},
			args: []string{"--on-missing=hold"},
			check: func(t *testing.T, c Config) {
				require.Equal(t, MissingHold, c.OnMissing)
			},
			notes: []string{"METRIC_STORE_VALUE_IF_NOT_FOUND=3 has no effect: --on-missing=hold comes first"},
		},
		{
			name: "a policy of value takes the alias's value",
			env:  map[string]string{"METRIC_STORE_VALUE_IF_NOT_FOUND": "3"},
			args: []string{"--on-missing=value"},
			check: func(t *testing.T, c Config) {
				require.Equal(t, MissingValue, c.OnMissing)
				require.InDelta(t, 3, c.ValueIfNotFound, 0)
			},
		},
		{
			name: "a certificate for OTLP over both transports",
			env:  map[string]string{"OTLP_TLS_CERT_FILE": "/crt", "OTLP_TLS_KEY_FILE": "/key", "OTLP_TLS_CA_FILE": "/ca"},
			check: func(t *testing.T, c Config) {
				require.Equal(t, TLS{"/crt", "/key", "/ca", "1.3"}, c.OTLPGRPCTLS)
				require.Equal(t, c.OTLPGRPCTLS, c.OTLPHTTPTLS)
				require.Equal(t, TLS{MinVersion: "1.3"}, c.KEDATLS)
			},
		},
		{
			name: "a flag beats it for one transport",
			env:  map[string]string{"OTLP_TLS_CERT_FILE": "/crt", "OTLP_TLS_KEY_FILE": "/key"},
			args: []string{"--otlp-http-tls-cert-file=/other", "--otlp-http-tls-key-file=/others-key"},
			check: func(t *testing.T, c Config) {
				require.Equal(t, "/crt", c.OTLPGRPCTLS.CertFile)
				require.Equal(t, "/other", c.OTLPHTTPTLS.CertFile)
			},
		},
		{
			name: "flags beat it for both",
			env:  map[string]string{"OTLP_TLS_CERT_FILE": "/crt"},
			args: []string{"--otlp-http-tls-cert-file=/a", "--otlp-http-tls-key-file=/b", "--otlp-grpc-tls-cert-file=/a", "--otlp-grpc-tls-key-file=/b"},
			check: func(t *testing.T, c Config) {
				require.Equal(t, "/a", c.OTLPGRPCTLS.CertFile)
			},
			notes: []string{"OTLP_TLS_CERT_FILE=/crt has no effect: --otlp-http-tls-cert-file=/a comes first"},
		},
		{
			name: "a certificate for KEDA that is switched on",
			env:  map[string]string{"KEDA_TLS_ENABLED": "true", "KEDA_TLS_CERT_FILE": "/crt", "KEDA_TLS_KEY_FILE": "/key"},
			check: func(t *testing.T, c Config) {
				require.Equal(t, TLS{"/crt", "/key", "", "1.3"}, c.KEDATLS)
			},
		},
		{
			name: "a certificate for KEDA without a switch",
			env:  map[string]string{"KEDA_TLS_CERT_FILE": "/crt", "KEDA_TLS_KEY_FILE": "/key"},
			check: func(t *testing.T, c Config) {
				require.Equal(t, TLS{"/crt", "/key", "", "1.3"}, c.KEDATLS, "plaintext for somebody who has a certificate is a hole")
			},
		},
		{
			name: "KEDA's switch and a certificate of ours",
			env:  map[string]string{"KEDA_TLS_ENABLED": "true"},
			args: []string{"--keda-tls-cert-file=/c", "--keda-tls-key-file=/k"},
			check: func(t *testing.T, c Config) {
				require.Equal(t, "/c", c.KEDATLS.CertFile)
			},
		},
		{
			name: "a certificate of ours beats KEDA's switch",
			env:  map[string]string{"KEDA_TLS_ENABLED": "false", "KEDA_TLS_CERT_FILE": "/crt"},
			args: []string{"--keda-tls-cert-file=/c", "--keda-tls-key-file=/k"},
			check: func(t *testing.T, c Config) {
				require.Equal(t, "/c", c.KEDATLS.CertFile)
			},
			notes: []string{
				"KEDA_TLS_ENABLED=false has no effect: --keda-tls-cert-file=/c comes first",
				"KEDA_TLS_CERT_FILE=/crt has no effect: --keda-tls-cert-file=/c comes first",
			},
		},
		{
			name: "certificates that TLS switched off leaves unused",
			env:  map[string]string{"KEDA_TLS_ENABLED": "false", "KEDA_TLS_CERT_FILE": "/crt", "KEDA_TLS_KEY_FILE": "/key"},
			check: func(t *testing.T, c Config) {
				require.Empty(t, c.KEDATLS.CertFile)
			},
			notes: []string{
				"KEDA_TLS_CERT_FILE=/crt has no effect: KEDA_TLS_ENABLED=false comes first",
				"KEDA_TLS_KEY_FILE=/key has no effect: KEDA_TLS_ENABLED=false comes first",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, notes, err := load(t, tc.env, tc.args...)
			require.NoError(t, err)
			tc.check(t, c)
			require.Equal(t, tc.notes, notes)
		})
	}
}

// TestOtelAddOnDeploymentStarts: the arguments and variables of otel-add-on's
// chart, as it renders them by default, around our binary.
func TestOtelAddOnDeploymentStarts(t *testing.T) {
	c, notes, err := load(t, map[string]string{
		"OTLP_RECEIVER_PORT": "4317", "KEDA_EXTERNAL_SCALER_PORT": "4318", "REST_API_PORT": "9090", "INTERNAL_METRICS_PORT": "8080",
		"METRIC_STORE_RETENTION_SECONDS": "120", "METRIC_STORE_LAZY_SERIES": "false", "METRIC_STORE_LAZY_AGGREGATES": "false",
		"METRIC_STORE_ERROR_IF_NOT_FOUND": "false", "METRIC_STORE_VALUE_IF_NOT_FOUND": "0", "IS_ACTIVE_POLLING_INTERVAL_MS": "500",
		"NO_COLOR": "false", "NO_BANNER": "false",
	}, "--zap-log-level=info", "--zap-stacktrace-level=error")
	require.NoError(t, err)
	require.Equal(t, MissingHold, c.OnMissing, "the chart's defaults must not turn a hold into a zero")
	require.Contains(t, notes, "--zap-log-level=info has no effect: --log-level decides")
	require.Len(t, notes, 6)
}
