package otlpreceiver

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	colpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const soon = 10 * time.Second

// ample is a share that always has room.
func ample() *share { return &share{of: &intake{most: 1 << 40}} }

// requireComeAgain wants the refusal that a Collector sends again after.
func requireComeAgain(t *testing.T, err error, why string) {
	t.Helper()
	s := status.Convert(err)
	require.Equal(t, codes.ResourceExhausted, s.Code(), "%v", err)
	require.Contains(t, s.Message(), why)
	require.Len(t, s.Details(), 1)
	delay := s.Details()[0].(*errdetails.RetryInfo).GetRetryDelay().AsDuration()
	require.GreaterOrEqual(t, delay, retryDelay/2)
	require.LessOrEqual(t, delay, retryDelay*3/2)
}

func TestWithoutMemoryASenderIsToldToComeAgain(t *testing.T) {
	tight := true
	h := serveHTTP(t, config{bounds: Options{Tight: func() bool { return tight }}})
	_, err := h.harness.client.Export(ctx(t), &colpb.ExportMetricsServiceRequest{})
	requireComeAgain(t, err, "GOMEMLIMIT")

	res := h.post(bytes.NewReader(encoded(t, gaugeOf("a", double(0, 1)))), "Content-Type", protobufType)
	require.Equal(t, http.StatusTooManyRequests, res.code)
	require.Equal(t, "1", res.header.Get("Retry-After"))
	var said spb.Status
	require.NoError(t, proto.Unmarshal(res.body, &said))
	requireComeAgain(t, status.FromProto(&said).Err(), "GOMEMLIMIT")

	_, err = h.receiver.Tap(ctx(t), nil)
	requireComeAgain(t, err, "GOMEMLIMIT")
	require.Empty(t, h.held(""))
	require.Equal(t, 3.0, h.requests("refused"))
	require.Equal(t, 3.0, h.metric("keda_otel_scaler_otlp_requests_refused_total", "reason", "memory"))
	require.Zero(t, h.receiver.HeldBytes())
	tight = false
	h.sendOK(gaugeOf("a", double(0, 1)))
}

// begin opens a request and sends nothing of its message.
func (h *harness) begin() (end func()) {
	h.t.Helper()
	c, cancel := context.WithCancel(ctx(h.t))
	_, err := h.conn.NewStream(c, &grpc.StreamDesc{ClientStreams: true}, exportMethod)
	require.NoError(h.t, err)
	return cancel
}

// holds waits until so many requests that have only begun are what is held.
func (h *harness) holds(begun int) {
	h.t.Helper()
	require.Eventually(h.t, func() bool { return h.receiver.HeldBytes() == begun*leastHeld }, soon, time.Millisecond)
}

// TestRequestsThatHaveBegunCount: what has not come yet is room that may be needed.
func TestRequestsThatHaveBegunCount(t *testing.T) {
	h := serveHTTP(t, config{bounds: Options{MaxHeldBytes: 2 * leastHeld}})
	first, second := h.begin(), h.begin()
	h.holds(2)
	_, err := h.harness.client.Export(ctx(t), &colpb.ExportMetricsServiceRequest{})
	requireComeAgain(t, err, "--max-inflight-bytes")
	_, err = h.receiver.Tap(ctx(t), nil)
	requireComeAgain(t, err, "--max-inflight-bytes")
	res := h.post(strings.NewReader("{}"), "Content-Type", jsonType)
	require.Equal(t, http.StatusTooManyRequests, res.code)
	require.Equal(t, 3.0, h.metric("keda_otel_scaler_otlp_requests_refused_total", "reason", "in_flight"))

	first()
	h.holds(1)
	_, err = h.receiver.Tap(ctx(t), nil)
	require.NoError(t, err)
	h.sendOK(gaugeOf("a", double(0, 1)))
	second()
	h.holds(0)
}

// TestALargeRequestNeedsRoom, but for one that is alone.
func TestALargeRequestNeedsRoom(t *testing.T) {
	h := serveHTTP(t, config{bounds: Options{MaxHeldBytes: 4 * leastHeld}})
	large := gaugeOf(strings.Repeat("x", 4*leastHeld), double(0, 1))
	protobuf, json := encoded(t, large), asJSON(t, resource(nil, large))
	send := func() (code int, grpcErr error) {
		_, grpcErr = h.raw(h.conn, protobuf)
		return h.post(readerFunc(bytes.NewReader(json).Read), "Content-Type", jsonType).code, grpcErr // of unsaid length
	}
	end := h.begin()
	h.holds(1)
	code, err := send()
	requireComeAgain(t, err, "--max-inflight-bytes")
	require.Equal(t, http.StatusTooManyRequests, code)
	require.Empty(t, h.held(""))
	h.holds(1)
	end()
	h.holds(0)
	code, err = send()
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, code)
	h.holds(0)
}

// takeDecoding takes all of the semaphore, as requests that are decoded do.
func takeDecoding(t *testing.T) (end func()) {
	t.Helper()
	for range cap(decoding) {
		require.NoError(t, decoding.Acquire(t.Context()))
	}
	end = sync.OnceFunc(func() {
		for range cap(decoding) {
			decoding.Release()
		}
	})
	t.Cleanup(end) // other tests decode, too
	return end
}

func TestDecodingIsLimited(t *testing.T) {
	h := serve(t, config{})
	h.sendOK(gaugeOf("a", double(0, 1)))
	release := takeDecoding(t)

	impatient, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := h.receiver.ingest(impatient, encoded(t, gaugeOf("b", double(0, 1))), protobufFormat, viaGRPC)
		gone <- err
	}()
	cancel()
	require.Equal(t, codes.Canceled, status.Code(<-gone), "whoever hangs up waits no longer")

	done := make(chan error, 1)
	go func() {
		_, err := h.raw(h.conn, encoded(t, gaugeOf("c", double(0, 1))))
		done <- err
	}()
	require.Eventually(t, func() bool { return h.receiver.HeldBytes() > 0 }, soon, time.Millisecond)
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	require.Equal(t, []string{"a{} 1@0"}, h.held(""))
	release()
	require.NoError(t, <-done)
	require.Equal(t, []string{"a{} 1@0", "c{} 1@0"}, h.held(""))
}

// begun is a context that tells when somebody begins to wait for its end.
type begun struct {
	context.Context
	told func()
}

func (b begun) Done() <-chan struct{} {
	b.told()
	return b.Context.Done()
}

// TestALongWaitIsReported, and no other.
func TestALongWaitIsReported(t *testing.T) {
	for wait, want := range map[time.Duration]int{0: 0, lateDecoding - 1: 0, lateDecoding: 1} {
		late := 0
		h := serve(t, config{bounds: Options{Late: func() { late++ }}})
		release := takeDecoding(t)
		done := make(chan error, 1)
		waits := make(chan struct{})
		go func() {
			done <- h.receiver.acquireDecoding(begun{t.Context(), sync.OnceFunc(func() { close(waits) })})
		}()
		<-waits
		h.clock.advance(wait)
		release()
		require.NoError(t, <-done)
		decoding.Release()
		require.Equal(t, want, late, wait)
	}
}

// TestUnpackingIsLimited, and the semaphore is released, however the message does: read out,
// too large, or broken.
func TestUnpackingIsLimited(t *testing.T) {
	h := serve(t, config{server: []grpc.ServerOption{grpc.MaxRecvMsgSize(1 << 10)}})
	// One that is empty is not packed.
	small := &colpb.ExportMetricsServiceRequest{ResourceMetrics: []*mpb.ResourceMetrics{resource(nil, gaugeOf("a", double(0, 1)))}}
	large := &colpb.ExportMetricsServiceRequest{ResourceMetrics: []*mpb.ResourceMetrics{resource(nil, gaugeOf(strings.Repeat("x", 1<<16), double(0, 1)))}}
	for _, name := range []string{"gzip", "zstd"} {
		for range 2 * cap(decoding) {
			_, err := h.client.Export(ctx(t), small, grpc.UseCompressor(name))
			require.NoError(t, err)
			_, err = h.client.Export(ctx(t), large, grpc.UseCompressor(name))
			require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
			if r, err := encoding.GetCompressor(name).Decompress(strings.NewReader("neither of them")); err == nil {
				_, err = io.ReadAll(r)
				require.Error(t, err)
				require.NoError(t, r.(io.Closer).Close())
				require.NoError(t, r.(io.Closer).Close(), "again")
			}
		}
	}
	require.Eventually(t, func() bool { return len(decoding) == 0 }, soon, time.Millisecond)
	for _, name := range []string{"gzip", "zstd"} {
		during := -1
		r, err := encoding.GetCompressor(name).Decompress(readerFunc(func([]byte) (int, error) {
			during = len(decoding)
			return 0, io.EOF
		}))
		if err == nil { // zstd reads later
			_, _ = io.ReadAll(r)
			require.NoError(t, r.(io.Closer).Close())
		}
		require.Equal(t, 1, during, "whoever unpacks has one")
		require.Empty(t, decoding)
	}

	release := takeDecoding(t)
	done := make(chan error, 1)
	go func() {
		_, err := h.client.Export(ctx(t), small, grpc.UseCompressor("gzip"))
		done <- err
	}()
	h.holds(1)
	require.Empty(t, done, "it waits")
	release()
	require.NoError(t, <-done)
}

// TestPackedBodiesAreLimited, once they have come: a slow sender keeps no other from it.
func TestPackedBodiesAreLimited(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write(encoded(t, gaugeOf("a", double(0, 1))))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	h := serveHTTP(t, config{})
	body, sender := io.Pipe()
	done := make(chan int, 1)
	go func() { done <- h.post(body, "Content-Type", protobufType, "Content-Encoding", "gzip").code }()
	_, err = sender.Write(packed.Next(packed.Len() / 2))
	require.NoError(t, err)
	h.holds(1)
	release := takeDecoding(t) // there are all of them
	_, err = sender.Write(packed.Bytes())
	require.NoError(t, err)
	require.NoError(t, sender.Close())
	require.Empty(t, h.held(""))
	require.Empty(t, done, "it waits")
	release()
	require.Equal(t, http.StatusOK, <-done)
	require.Equal(t, []string{"a{} 1@0"}, h.held(""))
}
