package serve

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keda-otel-scaler/keda-otel-scaler/otlpreceiver"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// closedByPeer tells whether a connection ends before anything is read from it.
func closedByPeer(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(generous))
	_, err := c.Read(make([]byte, 1))
	return err != nil && !isTimeout(err)
}

func isTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func TestConnectionsBeyondTheLimitAreClosed(t *testing.T) {
	i := start(t, "--max-connections=2")
	for _, l := range []struct {
		name    string
		address net.Addr
	}{{"otlp-grpc", i.OTLPGRPC}, {"otlp-http", i.OTLPHTTP}} {
		first := dialTCP(t, l.address, "")
		dialTCP(t, l.address, "")
		require.True(t, closedByPeer(dialTCP(t, l.address, "")), l.name)
		_, text := get(t, i.Telemetry, "/metrics")
		require.Contains(t, text, `keda_otel_scaler_connections{listener="`+l.name+`"} 2`)
		require.Contains(t, text, `keda_otel_scaler_connections_refused_total{listener="`+l.name+`",reason="limit"} 1`)
		require.NoError(t, first.Close())
		require.Eventually(t, func() bool { // it makes room
			c := dialTCP(t, l.address, "")
			_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			_, err := c.Read(make([]byte, 1))
			return err == nil || isTimeout(err) // gRPC's server speaks first, HTTP's last
		}, generous, time.Millisecond)
	}
	for range 3 {
		_, err := pb.NewExternalScalerClient(dialGRPC(t, i.KEDAGRPC)).GetMetricSpec(t.Context(), object())
		require.NoError(t, err, "KEDA has room of its own")
	}
	_, err := i.wait(t)
	require.NoError(t, err)
}

// boundedServer answers "ok" on a listener whose memory the test decides upon.
func boundedServer(t *testing.T, tight, cut *atomic.Bool) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })}
	done := make(chan error, 1)
	go func() {
		done <- server.Serve(newConnections(prometheus.NewRegistry()).bound(l, "test", 10, tight.Load, cut.Load, nil))
	}()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return l.Addr()
}

func TestWithoutMemoryNoConnectionBegins(t *testing.T) {
	var tight, cut atomic.Bool
	address := boundedServer(t, &tight, &cut)
	known := dialTCP(t, address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	_, err := io.ReadFull(known, make([]byte, 15))
	require.NoError(t, err)
	tight.Store(true)
	require.True(t, closedByPeer(dialTCP(t, address, "")))
	_, err = io.WriteString(known, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	require.NoError(t, err)
	_, err = io.ReadFull(known, make([]byte, 200))
	require.NoError(t, err, "those there are go on")
}

func TestWithoutAnyMemoryWhoSendsIsCutOff(t *testing.T) {
	var tight, cut atomic.Bool
	address := boundedServer(t, &tight, &cut)
	sends := dialTCP(t, address, "GET / HTTP/1.1\r\n")
	code, _ := get(t, address, "/")
	require.Equal(t, http.StatusOK, code) // by now the server waits for the rest
	cut.Store(true)
	_, err := io.WriteString(sends, "Host: a\r\n") // what is waited for is read still
	require.NoError(t, err)
	require.NoError(t, sends.SetReadDeadline(time.Now().Add(generous)))
	answer, err := io.ReadAll(sends)
	require.False(t, isTimeout(err), "it ends")
	require.NotContains(t, string(answer), "ok")
}

// TestARequestThatNeverComesEnds, and what it held is given back: its peer set
// no deadline, or one that is far.
func TestARequestThatNeverComesEnds(t *testing.T) {
	receiver, err := otlpreceiver.New(otlpreceiver.Options{Store: store.New(store.Options{})})
	require.NoError(t, err)
	server := grpc.NewServer(append(otlpreceiver.ServerOptions(), grpc.InTapHandle(endWithin(50*time.Millisecond)))...)
	receiver.Register(server)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	const method = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
	stream, err := dialGRPC(t, l.Addr()).NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, method)
	require.NoError(t, err)
	require.Equal(t, codes.DeadlineExceeded, status.Code(stream.RecvMsg(nil)), "which a Collector sends again after")
	require.Eventually(t, func() bool { return receiver.HeldBytes() == 0 }, generous, time.Millisecond)
}
