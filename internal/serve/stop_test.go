package serve

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"
)

const exportMethod = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

// TestStreamsEndWithOK: after any other end KEDA waits longer and longer before
// it comes back.
func TestStreamsEndWithOK(t *testing.T) {
	i := start(t)
	client := pb.NewExternalScalerClient(dialGRPC(t, i.KEDAGRPC))
	active, err := client.StreamIsActive(t.Context(), object())
	require.NoError(t, err)
	_, err = active.Recv()
	require.NoError(t, err)
	specs, err := client.StreamMetricSpec(t.Context(), object())
	require.NoError(t, err)
	_, err = specs.Recv()
	require.NoError(t, err)

	took, err := i.wait(t)
	require.NoError(t, err)
	_, err = active.Recv()
	require.Equal(t, io.EOF, err)
	_, err = specs.Recv()
	require.Equal(t, io.EOF, err)
	require.NotContains(t, i.log.String(), "cutting off", "took %s", took)
}

// TestRequestsInFlightFinish sends half of a request before and half after the
// program is told to stop.
func TestRequestsInFlightFinish(t *testing.T) {
	i := start(t)
	probe := dialTCP(t, i.Telemetry, "GET /readyz HTTP/1.1\r\nHost: x\r\n")
	conn := dialGRPC(t, i.OTLPGRPC)
	require.NoError(t, conn.Invoke(t.Context(), exportMethod, &emptypb.Empty{}, &emptypb.Empty{})) // connected
	export, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, exportMethod)
	require.NoError(t, err)

	i.stop()
	i.log.waitFor(t, "shutting down")

	// The export is still open, so the telemetry server still answers.
	_, err = io.WriteString(probe, "\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(probe), nil)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.Equal(t, "shutting down\n", string(body))

	require.NoError(t, export.SendMsg(&emptypb.Empty{}))
	require.NoError(t, export.CloseSend())
	require.NoError(t, export.RecvMsg(&emptypb.Empty{}))

	_, err = i.wait(t)
	require.NoError(t, err)
	require.NotContains(t, i.log.String(), "cutting off")
}

// TestHostilePeers keeps a connection of every unpleasant kind open while the
// program ends.
func TestHostilePeers(t *testing.T) {
	i := start(t, "--shutdown-timeout=1s")
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()

	var silent []net.Conn
	for _, address := range []net.Addr{i.OTLPGRPC, i.OTLPHTTP, i.KEDAGRPC, i.HTTP, i.Telemetry} {
		silent = append(silent,
			dialTCP(t, address, ""),                                // says nothing
			dialTCP(t, address, "PRI * HTTP/2.0\r\n\r\nSM\r\n"),    // half a hello
			dialTCP(t, address, "GET / HTTP/1.1\r\nHost: someone")) // half a request
	}

	// A call without its message, half a message, and streams nobody reads.
	_, err := dialGRPC(t, i.OTLPGRPC).NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, exportMethod)
	require.NoError(t, err)

	halted := make(chan struct{})
	half := dialGRPC(t, i.OTLPGRPC, grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		return &haltingConn{Conn: conn, left: 2000, halted: halted}, err
	}))
	failed := make(chan error, 1)
	go func() {
		_, err := pmetricotlp.NewGRPCClient(half).Export(ctx, push(strings.Repeat("x", 10_000), 1))
		failed <- err
	}()
	<-halted

	keda := dialGRPC(t, i.KEDAGRPC)
	active, err := pb.NewExternalScalerClient(keda).StreamIsActive(ctx, object())
	require.NoError(t, err)
	_, err = active.Recv()
	require.NoError(t, err)
	watch, err := grpc_health_v1.NewHealthClient(keda).Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	_, err = watch.Recv()
	require.NoError(t, err)

	took, err := i.wait(t)
	require.NoError(t, err)
	require.Less(t, took, 5*time.Second)
	require.Contains(t, i.log.String(), "cutting off")
	require.Error(t, <-failed)
	for _, conn := range silent { // closed by the program, not by a timeout of its own
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Second)))
		_, err := io.Copy(io.Discard, conn)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	}
	_, err = active.Recv()
	require.Equal(t, io.EOF, err, "the others' doing must not cost KEDA its OK")
}

// TestStopsUnderAQuery ends the program while a query is evaluated that would
// take minutes, and joins it.
func TestStopsUnderAQuery(t *testing.T) {
	i := start(t, "--shutdown-timeout=1s", "--query-timeout=10m", "--query-max-concurrency=1")
	long := url.Values{"start": {"0"}, "end": {"11000"}, "step": {"1"}, "query": {strings.Repeat("vector(1)+", 10_000) + "1"}}.Encode()
	conn := dialTCP(t, i.HTTP, fmt.Sprintf("POST /api/v1/query_range HTTP/1.1\r\nHost: x\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(long), long))
	require.Eventually(t, func() bool { // there is one place, and it is taken
		_, body := get(t, i.HTTP, "/api/v1/query?query=1&timeout=50ms")
		return strings.Contains(body, "query timed out in query queue")
	}, generous, time.Millisecond)

	took, err := i.wait(t)
	require.NoError(t, err)
	require.Less(t, took, 5*time.Second)
	require.Contains(t, i.log.String(), `msg="cutting off peers that did not finish" server=http`)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(generous)))
	_, err = io.Copy(io.Discard, conn)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

// haltingConn sends so many bytes and swallows the rest.
type haltingConn struct {
	net.Conn
	halted chan struct{} // closed when it swallows

	mu   sync.Mutex // guards what follows
	left int
}

func (c *haltingConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 {
		return len(p), nil
	}
	n := min(c.left, len(p))
	if c.left -= n; c.left == 0 {
		defer close(c.halted)
	}
	if _, err := c.Conn.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}
