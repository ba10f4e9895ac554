package serve

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// generous is far more than anything here takes on a busy machine.
const generous = 30 * time.Second

// instance is a running program.
type instance struct {
	Addresses
	log  *logBuffer
	stop context.CancelFunc // as SIGTERM does
	done chan error
}

// testConfig is the default but for the ports and the given flags.
func testConfig(t testing.TB, args ...string) config.Config {
	t.Helper()
	var cfg config.Config
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	cfg.Bind(flags)
	const anywhere = "127.0.0.1:0"
	require.NoError(t, flags.Parse(append([]string{"--otlp-grpc-address=" + anywhere, "--otlp-http-address=" + anywhere, "--keda-address=" + anywhere,
		"--http-address=" + anywhere, "--telemetry-address=" + anywhere}, args...)))
	_, err := cfg.Load(flags, func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	return cfg
}

func start(t *testing.T, args ...string) *instance {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	i := &instance{log: newLogBuffer(), stop: stop, done: make(chan error, 1)}
	up := make(chan struct{})
	go func() {
		i.done <- Run(ctx, testConfig(t, args...), i.log.logger(), func(a Addresses) {
			i.Addresses = a
			close(up)
		})
	}()
	select {
	case <-up:
	case err := <-i.done:
		t.Fatalf("it did not start: %v", err)
	}
	return i
}

// wait returns what Run returned, and how long that took after stop.
func (i *instance) wait(t *testing.T) (time.Duration, error) {
	t.Helper()
	began := time.Now()
	i.stop()
	select {
	case err := <-i.done:
		return time.Since(began), err
	case <-time.After(generous):
		t.Fatal("it does not end")
		return 0, nil
	}
}

func dialGRPC(t testing.TB, address net.Addr, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address.String(), append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// dialTCP connects and sends text.
func dialTCP(t *testing.T, address net.Addr, text string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	return conn
}

func get(t *testing.T, address net.Addr, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address.String()+path, nil)
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

// logBuffer is a log that can be waited on.
type logBuffer struct {
	mu      sync.Mutex // guards what follows
	text    bytes.Buffer
	changed chan struct{} // closed and replaced at each write
}

func newLogBuffer() *logBuffer { return &logBuffer{changed: make(chan struct{})} }

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// waitFor returns once the log contains text.
func (l *logBuffer) waitFor(t *testing.T, text string) {
	t.Helper()
	late := time.After(generous)
	for {
		l.mu.Lock()
		found, changed := strings.Contains(l.text.String(), text), l.changed
		l.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("the log never says %q", text)
		}
	}
}
