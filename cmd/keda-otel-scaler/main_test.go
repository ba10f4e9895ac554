package main

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommandLine(t *testing.T) {
	for _, tc := range []struct {
		name   string
		args   []string
		env    map[string]string
		stderr string // the one line; empty is success
		stdout string // a part of it
	}{
		{name: "version", args: []string{"version"}, stdout: "keda-otel-scaler "},
		{name: "help", args: []string{"--help"}, stdout: "--max-series-per-metric"},
		{name: "help of serve", args: []string{"serve", "--help"}, stdout: "KEDA_OTEL_SCALER_MAX_SERIES"},
		{name: "unknown command", args: []string{"server"}, stderr: `keda-otel-scaler: unknown argument "server"; see keda-otel-scaler --help` + "\n"},
		{name: "unknown argument", args: []string{"serve", "now"}, stderr: `keda-otel-scaler: unknown argument "now"; see keda-otel-scaler serve --help` + "\n"},
		{name: "argument of version", args: []string{"version", "1"}, stderr: `keda-otel-scaler: unknown argument "1"; see keda-otel-scaler version --help` + "\n"},
		{name: "unknown flag", args: []string{"serve", "--fast"}, stderr: "keda-otel-scaler: unknown flag: --fast\n"},
		{name: "bad flag", args: []string{"--retention=0"}, stderr: "keda-otel-scaler: --retention=0s: want a duration above 0, for example --retention=2m\n"},
		{name: "bad variable", args: []string{"serve"}, env: map[string]string{"KEDA_OTEL_SCALER_LOG_FORMAT": "xml"}, stderr: "keda-otel-scaler: KEDA_OTEL_SCALER_LOG_FORMAT=xml: want text or json, for example KEDA_OTEL_SCALER_LOG_FORMAT=text\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, value := range tc.env {
				t.Setenv(name, value)
			}
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), tc.args, &stdout, &stderr)
			require.Equal(t, tc.stderr, stderr.String())
			require.Contains(t, stdout.String(), tc.stdout)
			if tc.stderr == "" {
				require.Zero(t, code)
			} else {
				require.Equal(t, 1, code)
				require.Empty(t, stdout.String())
			}
		})
	}
}

// TestServesByDefault starts with a context that is done: up, and down again.
func TestServesByDefault(t *testing.T) {
	const anywhere = "127.0.0.1:0"
	for _, command := range [][]string{nil, {"serve"}} {
		t.Run(append(command, "none")[0], func(t *testing.T) {
			t.Setenv("IS_ACTIVE_POLLING_INTERVAL_MS", "500")
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			var stdout, stderr bytes.Buffer
			code := run(ctx, append(command, "--log-format=json",
				"--otlp-grpc-address="+anywhere, "--otlp-http-address="+anywhere, "--keda-address="+anywhere, "--http-address="+anywhere, "--telemetry-address="+anywhere,
			), &stdout, &stderr)
			require.Zero(t, code, stderr.String())
			require.Empty(t, stdout.String())
			require.Contains(t, stderr.String(), `"msg":"IS_ACTIVE_POLLING_INTERVAL_MS=500 has no effect`)
		})
	}
}
