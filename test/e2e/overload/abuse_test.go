package overload

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
)

const (
	mib = 1 << 20
	// limitMiB is GOMEMLIMIT here. What the kernel counts is a little more: the
	// binary, and what the runtime is about to give back.
	limitMiB = 128
	mostMiB  = limitMiB * 3 / 2
)

// serves wants KEDA answered and a push taken.
func (s *scaler) serves(t *testing.T) {
	t.Helper()
	poll.Until(t, 20*time.Second, func(ctx context.Context) error {
		r, err := newRequest(0, 1)
		if err != nil {
			return err
		}
		if err := export(ctx, s.conn(t, s.otlp), r.at(time.Now())); err != nil {
			return err
		}
		_, err = s.metrics(ctx, s.conn(t, s.keda), 0)
		return err
	})
}

// requireBounded runs an attack, and wants KEDA answered meanwhile, the memory
// under the limit, and everything in order afterwards.
func requireBounded(t *testing.T, s *scaler, attack func()) {
	t.Helper()
	s.serves(t)
	keda := s.conn(t, s.keda)
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	var slowest time.Duration
	asking.Go(func() {
		for tick := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			began := time.Now()
			_, err := s.metrics(t.Context(), keda, 0)
			if code := status.Code(err); err != nil && code != codes.Unavailable { // held: its sender is refused, too
				t.Errorf("KEDA's call: %v", err)
			}
			slowest = max(slowest, time.Since(began))
		}
	})
	attack()
	cancel()
	asking.Wait()
	peak := s.peakMiB(t)
	t.Logf("memory at its peak %d MiB with GOMEMLIMIT=%dMiB, KEDA's slowest call %s", peak, limitMiB, slowest.Round(time.Millisecond))
	require.Less(t, peak, mostMiB)
	s.serves(t)
}

// preface opens a connection of HTTP/2.
func (s *scaler) preface(t *testing.T, address string) (net.Conn, *http2.Framer) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	_, err = io.WriteString(c, http2.ClientPreface)
	require.NoError(t, err)
	f := http2.NewFramer(c, c)
	require.NoError(t, f.WriteSettings())
	return c, f
}

func headers(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

var call = headers(":method", "POST", ":scheme", "http", ":path", exportMethod, ":authority", "a", "content-type", "application/grpc")

// TestMessagesThatNeverEnd: streams whose messages, of 16 MiB each, stop short.
// gRPC reads what comes, so this is more than there is memory for.
func TestMessagesThatNeverEnd(t *testing.T) {
	s := startScaler(t, "GOMEMLIMIT=128MiB")
	requireBounded(t, s, func() {
		var senders sync.WaitGroup
		for range 8 {
			senders.Go(func() {
				conn, err := grpc.NewClient(s.otlp, grpc.WithTransportCredentials(insecure.NewCredentials()))
				require.NoError(t, err)
				defer conn.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				message := make([]byte, 16*mib-10)
				var streams sync.WaitGroup
				for range 32 {
					streams.Go(func() {
						stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, exportMethod, grpc.ForceCodecV2(rawCodec{}))
						if err == nil && stream.SendMsg(message) == nil {
							_ = stream.RecvMsg(new([]byte)) // never half-closed
						}
					})
				}
				streams.Wait()
			})
		}
		senders.Wait()
	})
}

// TestStreamsAbandoned: opened, and nothing sent.
func TestStreamsAbandoned(t *testing.T) {
	s := startScaler(t, "GOMEMLIMIT=128MiB")
	requireBounded(t, s, func() {
		for range 100 {
			_, f := s.preface(t, s.otlp)
			for id := range uint32(250) {
				if f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*id + 1, BlockFragment: call, EndHeaders: true}) != nil {
					break
				}
			}
		}
		poll.Until(t, 20*time.Second, func(context.Context) error { // they end, though their connections stay
			if held := s.metric(t, `keda_otel_scaler_limit_used{limit="inflight_bytes"}`); held > 0 {
				return fmt.Errorf("%v bytes are held", held)
			}
			return nil
		})
	})
	require.NotZero(t, s.metric(t, `keda_otel_scaler_otlp_requests_total{outcome="refused",transport="grpc"}`))
}

// TestSlowLoris on every port: half a request, and then a byte now and then. No
// more than the room for connections is taken, and not for long.
func TestSlowLoris(t *testing.T) {
	s := startScaler(t, "GOMEMLIMIT=128MiB")
	requireBounded(t, s, func() {
		ends := map[string]time.Time{}
		var mu sync.Mutex
		var all sync.WaitGroup
		for name, address := range map[string]string{"http": s.http, "otlp-http": s.otlpHTTP, "telemetry": s.telemetry, "otlp-grpc": s.otlp, "keda-grpc": s.keda} {
			for n := range 200 {
				c, err := net.Dial("tcp", address)
				require.NoError(t, err)
				half := "POST /v1/metrics HTTP/1.1\r\nHost: a\r\n"
				if strings.HasSuffix(name, "grpc") {
					half = http2.ClientPreface[:20]
				}
				_, err = io.WriteString(c, half)
				require.NoError(t, err)
				all.Go(func() {
					defer c.Close()
					gone := make(chan struct{})
					go func() {
						_, _ = io.Copy(io.Discard, c)
						close(gone)
					}()
					for tick := time.NewTicker(500 * time.Millisecond); ; {
						select {
						case <-gone:
							mu.Lock()
							ends[name] = time.Now()
							mu.Unlock()
							return
						case <-tick.C:
							_, _ = io.WriteString(c, "x")
						}
						if n > 0 {
							continue
						}
					}
				})
			}
		}
		began := time.Now()
		all.Wait()
		for name, end := range ends {
			t.Logf("%s: the last of 200 was closed after %s", name, end.Sub(began).Round(100*time.Millisecond))
			require.Less(t, end.Sub(began), 12*time.Second, name)
		}
		require.Len(t, ends, 5)
	})
}

// TestHeaderFloods: headers without end on every port, in one block and in
// continuations.
func TestHeaderFloods(t *testing.T) {
	s := startScaler(t, "GOMEMLIMIT=128MiB")
	requireBounded(t, s, func() {
		for _, address := range []string{s.http, s.otlpHTTP, s.telemetry} {
			c, err := net.Dial("tcp", address)
			require.NoError(t, err)
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n")
			line := "x: " + strings.Repeat("x", 1000) + "\r\n"
			sent := 0
			for ; sent < 64*mib; sent += len(line) {
				if _, err := io.WriteString(c, line); err != nil {
					break
				}
			}
			require.Less(t, sent, 16*mib, "%s reads on", address)
			_ = c.Close()
		}
		for _, address := range []string{s.otlp, s.keda, s.http, s.otlpHTTP} {
			c, f := s.preface(t, address)
			go func() { _, _ = io.Copy(io.Discard, c) }()
			require.NoError(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: call}))
			block := headers("x", strings.Repeat("x", 16<<10))[:16<<10]
			sent := 0
			for ; sent < 64*mib; sent += len(block) {
				if f.WriteContinuation(1, false, block) != nil {
					break
				}
			}
			require.Less(t, sent, 16*mib, "%s reads on", address)
			_ = c.Close()
		}
	})
}

// TestBombs: requests of 64 MiB, and what becomes a quarter of a gigabyte once unpacked.
func TestBombs(t *testing.T) {
	s := startScaler(t, "GOMEMLIMIT=128MiB")
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 256 {
		_, _ = z.Write(make([]byte, mib))
	}
	require.NoError(t, z.Close())
	// The last is the sender's or the server's deadline, on a busy machine.
	refusals := []codes.Code{codes.ResourceExhausted, codes.Unavailable, codes.DeadlineExceeded}
	requireBounded(t, s, func() {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for _, body := range []struct {
					encoding string
					bytes    []byte
				}{{"gzip", bomb.Bytes()}, {"", make([]byte, 64*mib)}} {
					request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.otlpHTTP+"/v1/metrics", bytes.NewReader(body.bytes))
					require.NoError(t, err)
					request.Header.Set("Content-Type", "application/x-protobuf")
					request.Header.Set("Content-Encoding", body.encoding)
					response, err := http.DefaultClient.Do(request)
					if err == nil { // or the server closed it while it was being sent
						require.Contains(t, []int{http.StatusRequestEntityTooLarge, http.StatusTooManyRequests}, response.StatusCode)
						_ = response.Body.Close()
					}
				}
				noise := make([]byte, 64*mib)
				_, _ = rand.Read(noise[:mib])
				err := export(t.Context(), s.conn(t, s.otlp), noise)
				require.Contains(t, refusals, status.Code(err), "%v", err)
				err = export(t.Context(), s.conn(t, s.otlp), make([]byte, 32*mib), grpc.UseCompressor("gzip"))
				require.Contains(t, refusals, status.Code(err), "%v", err)
			})
		}
		all.Wait()
	})
}

// TestConnections: as many as there may be, idle.
func TestConnections(t *testing.T) {
	s := startScaler(t, "GOMEMLIMIT=1GiB", "--max-connections=10000")
	s.serves(t)
	before := s.peakMiB(t)
	for range *connections {
		s.preface(t, s.otlp)
	}
	poll.Until(t, 30*time.Second, func(context.Context) error {
		if n := s.metric(t, `keda_otel_scaler_connections{listener="otlp-grpc"}`); n < float64(*connections) {
			return fmt.Errorf("%v are open", n)
		}
		return nil
	})
	took := s.ask(t, time.Second)
	peak := s.peakMiB(t)
	t.Logf("%d connections take %d MiB; KEDA's calls p99 %s", *connections, peak-before, quantile(took, 0.99))
	require.Less(t, peak-before, *connections*64/1024+16)
}
