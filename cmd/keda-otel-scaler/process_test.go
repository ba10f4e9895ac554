//go:build linux

package main

import (
	"bufio"
	"bytes"
	"debug/elf"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBinary builds the program as it ships: it needs nothing of the system it
// runs on, and is gone within five seconds of SIGTERM, even with peers that
// hold its connections and a query that the engine does not leave.
func TestBinary(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary")
	}
	binary := build(t)
	file, err := elf.Open(binary)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	for _, segment := range file.Progs {
		require.NotEqual(t, elf.PT_INTERP, segment.Type, "linked dynamically")
	}

	program := exec.CommandContext(t.Context(), binary, "--query-max-concurrency=1", "--query-max-samples=1000000000000", // or the query is refused
		"--otlp-grpc-address=127.0.0.1:0", "--otlp-http-address=127.0.0.1:0", "--keda-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--telemetry-address=127.0.0.1:0")
	stderr, err := program.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())

	listening := regexp.MustCompile(`msg=listening server=([a-z-]+) address=(\S+)`)
	lines := bufio.NewScanner(stderr)
	for servers := 0; servers < 5 && lines.Scan(); {
		found := listening.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		servers++
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", found[2])
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		_, err = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n"))
		require.NoError(t, err)
		if found[1] == "http" {
			occupy(t, found[2])
		}
	}
	require.NoError(t, lines.Err())

	began := time.Now()
	require.NoError(t, program.Process.Signal(syscall.SIGTERM))
	for lines.Scan() { // to the end, as Wait closes the pipe
		t.Log(lines.Text())
	}
	require.NoError(t, program.Wait(), "the exit code")
	require.Less(t, time.Since(began), 5*time.Second)
}

// build builds the program as it ships.
func build(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the binary")
	}
	binary := filepath.Join(t.TempDir(), "keda-otel-scaler")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", binary, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
	return binary
}

// TestToolsAsProcesses pipes, as CI does, and looks at the exit codes.
func TestToolsAsProcesses(t *testing.T) {
	binary := build(t)
	isvc, err := os.ReadFile("testdata/check/isvc.yaml")
	require.NoError(t, err)
	for _, tc := range []struct {
		name           string
		args           []string
		stdin          string
		code           int
		stdout, stderr string
	}{
		{"check: fine", []string{"check", "-f", "-"}, fine, 0, "0 errors", ""},
		{"check: faults", []string{"check", "-f", "-"}, string(isvc), 1, "<stdin>:20:22: warning: InferenceService models/fbopt: ", ""},
		{"check: unreadable", []string{"check", "-f", "-"}, broken, 2, "<stdin>:1:1: error: not YAML", ""},
		{"render", []string{"render", "-f", "-"}, string(isvc), 1, "kind: OpenTelemetryCollector\n", "<stdin>:7:5: error: "},
		{"render: nothing", []string{"render", "-f", "-"}, "", 1, "", "no InferenceService"},
		{"completion", []string{"completion", "bash"}, "", 0, "complete -o default", ""},
		{"help", []string{"render", "--help"}, "", 0, "kubectl diff", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			program := exec.CommandContext(t.Context(), binary, tc.args...)
			program.Stdin = strings.NewReader(tc.stdin)
			var stdout, stderr bytes.Buffer
			program.Stdout, program.Stderr = &stdout, &stderr
			_ = program.Run()
			require.Equal(t, tc.code, program.ProcessState.ExitCode(), stderr.String())
			require.Contains(t, stdout.String(), tc.stdout)
			require.Contains(t, stderr.String(), tc.stderr)
		})
	}
}

// occupy takes the only place for queries with one whose window has so many
// points that the engine is busy with it for minutes, and looks at nothing else.
func occupy(t *testing.T, address string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = conn.Write([]byte("GET /api/v1/query?query=sum_over_time(sum_over_time(vector(1)[1000s:1ms])[1000s:10ms]) HTTP/1.1\r\nHost: x\r\n\r\n"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		var stdout, stderr bytes.Buffer
		run(t.Context(), []string{"query", "--server=http://" + address, "1"}, &stdout, &stderr)
		return strings.Contains(stderr.String(), "query timed out in query queue")
	}, 30*time.Second, time.Millisecond)
}
