//go:build linux

package sandbox

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
)

func TestMain(m *testing.M) {
	os.Exit(Main(Options{
		Hosts:   "127.0.0.1 localhost scaler.keda.svc\n",
		Network: "10.244.0.1/16",
		Prepare: func() error { return nil },
	}, m.Run))
}

// TestInside is the whole of the promise: no device but the loopback, names of
// our own, and addresses of pods that anything can listen on.
func TestInside(t *testing.T) {
	devices, err := net.Interfaces()
	require.NoError(t, err)
	require.Len(t, devices, 1)
	addresses, err := net.LookupHost("scaler.keda.svc")
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1"}, addresses)
	echo(t, "10.244.7.9:0")

	require.NoError(t, SetLoopback(false))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, err = net.DialTimeout("tcp", l.Addr().String(), time.Second)
	require.Error(t, err, "the device is down")
	require.NoError(t, SetLoopback(true))
	echo(t, "127.0.0.1:0")
	echo(t, "10.244.7.9:0")
}

// TestWithHosts gives a child another hosts file than ours.
func TestWithHosts(t *testing.T) {
	hosts := filepath.Join(t.TempDir(), "hosts")
	require.NoError(t, os.WriteFile(hosts, []byte("10.244.0.5 localhost\n"), 0o644))
	child := process.Start(t, WithHosts(process.Spec{
		Name: "cat", Path: "/bin/cat", Args: []string{"/etc/hosts"}, Logs: t.TempDir(),
	}, hosts))
	<-child.Exited()
	require.Equal(t, "10.244.0.5 localhost\n", child.Log())
	require.Zero(t, child.ExitCode())
}

func echo(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	c, err := net.DialTimeout("tcp", l.Addr().String(), time.Second)
	require.NoError(t, err)
	require.NoError(t, c.Close())
}
