package process

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// The test binary, started again with one of these, plays a server.
const (
	healthy  = "play-healthy"
	crashing = "play-crashing"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case healthy:
			play()
		case crashing:
			fmt.Fprintln(os.Stderr, "no such port")
			os.Exit(3)
		}
	}
	goleak.VerifyTestMain(m)
}

// play listens, works a little so that it has used CPU time, and stays.
func play() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(os.Stderr, "level=INFO msg=listening server=one address=%s\n", l.Addr())
	fmt.Fprintf(os.Stderr, "level=INFO msg=listening server=unasked address=%s\n", l.Addr())
	fmt.Fprintf(os.Stderr, "GOGC=%s\n", os.Getenv("GOGC"))
	fmt.Fprintf(os.Stderr, "level=INFO msg=listening server=two address=%s\n", l.Addr())
	_, _ = l.Accept()
	select {}
}

func start(t *testing.T, g *Group, how string) (*Process, error) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return g.Start(t.Context(), Spec{Name: how, Path: self, Args: []string{how}, Servers: []string{"one", "two"}})
}

func TestGroupKillsItsProcesses(t *testing.T) {
	t.Setenv("GOGC", "1")
	g := NewGroup()
	p, err := start(t, g, healthy)
	require.NoError(t, err)
	_, _, err = net.SplitHostPort(p.Address("one"))
	require.NoError(t, err)
	require.Empty(t, p.Address("unasked"))
	require.Contains(t, p.Said(), "GOGC=\n", "the environment must not reach it")

	cpu, err := p.CPU()
	require.NoError(t, err)
	require.Positive(t, cpu)
	now, peak, err := p.Resident()
	require.NoError(t, err)
	require.Greater(t, now, int64(100<<10))
	require.GreaterOrEqual(t, peak, now)

	g.Close()
	require.ErrorIs(t, syscall.Kill(p.cmd.Process.Pid, 0), syscall.ESRCH)
	p.Stop() // again, to no effect
	_, err = p.CPU()
	require.Error(t, err)
	_, _, err = p.Resident()
	require.Error(t, err)
}

func TestStartTellsWhatACrashedProcessSaid(t *testing.T) {
	g := NewGroup()
	defer g.Close()
	_, err := start(t, g, crashing)
	require.ErrorContains(t, err, "no such port")
}

func TestParseListening(t *testing.T) {
	server, address, ok := parseListening("time=2026-08-01T10:00:00Z level=INFO msg=listening server=keda-grpc address=127.0.0.1:4318")
	require.True(t, ok)
	require.Equal(t, "keda-grpc", server)
	require.Equal(t, "127.0.0.1:4318", address)
	for _, line := range []string{"", "panic: x", "msg=stopping server=http address=1:2", "msg=listening server=http", "msg=listening address=1:2"} {
		_, _, ok := parseListening(line)
		require.False(t, ok, line)
	}
}
