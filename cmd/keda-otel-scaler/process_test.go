//go:build linux

package main

import (
	"bufio"
	"debug/elf"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBinary builds the program as it ships: it needs nothing of the system it
// runs on, and is gone within five seconds of SIGTERM, even with peers that
// hold its connections.
func TestBinary(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary")
	}
	binary := filepath.Join(t.TempDir(), "keda-otel-scaler")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))

	file, err := elf.Open(binary)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	for _, segment := range file.Progs {
		require.NotEqual(t, elf.PT_INTERP, segment.Type, "linked dynamically")
	}

	program := exec.CommandContext(t.Context(), binary,
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
