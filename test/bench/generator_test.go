package main

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/payload"
)

// recorder is an OTLP server that keeps what it decodes.
type recorder struct {
	pmetricotlp.UnimplementedGRPCServer

	mu     sync.Mutex // guards what follows
	got    []sample
	reject int64
	gotOne chan struct{} // one for each request, as far as it has room
}

type sample struct {
	pod   string
	time  int64
	value float64
}

func (r *recorder) Export(_ context.Context, req pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rm := range req.Metrics().ResourceMetrics().All() {
		for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
			p := m.Gauge().DataPoints().At(0)
			pod, _ := p.Attributes().Get("pod")
			r.got = append(r.got, sample{pod.Str(), int64(p.Timestamp()), p.DoubleValue()})
		}
	}
	select {
	case r.gotOne <- struct{}{}:
	default:
	}
	answer := pmetricotlp.NewExportResponse()
	if r.reject > 0 {
		answer.PartialSuccess().SetRejectedDataPoints(r.reject)
		answer.PartialSuccess().SetErrorMessage("too many series")
	}
	return answer, nil
}

func (r *recorder) samples() []sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]sample(nil), r.got...)
}

// serve runs it within the test.
func (r *recorder) serve(t *testing.T) (address string) {
	t.Helper()
	r.gotOne = make(chan struct{}, 100)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := grpc.NewServer()
	pmetricotlp.RegisterGRPCServer(s, r)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		require.NoError(t, <-ended)
	})
	return l.Addr().String()
}

func generatorFor(t *testing.T, address string, pods, podsEach int) *generator {
	t.Helper()
	requests, err := payload.Requests(payload.Fleet(pods, 1), []string{payload.Running}, podsEach, payload.Full)
	require.NoError(t, err)
	g, err := newGenerator(address, requests)
	require.NoError(t, err)
	t.Cleanup(g.close)
	return g
}

func TestPassSendsEverySeriesOnce(t *testing.T) {
	r := &recorder{}
	g := generatorFor(t, r.serve(t), 21, 2)
	require.NoError(t, g.pass(t.Context(), func() int64 { return 77 }))
	seen := map[string]int{}
	for _, s := range r.samples() {
		require.Equal(t, int64(77), s.time)
		seen[s.pod]++
	}
	require.Len(t, seen, 21)
	require.Len(t, r.samples(), 21)
	require.Equal(t, int64(21), g.sent.Load())
}

func TestRunKeepsSeriesInOrderAndValuesFresh(t *testing.T) {
	r := &recorder{}
	g := generatorFor(t, r.serve(t), 20, 2)
	begin := time.Now().UnixNano()
	sent, err := g.run(t.Context(), 205)
	require.NoError(t, err)
	require.GreaterOrEqual(t, sent, int64(205))
	require.Len(t, r.samples(), int(sent))
	last := map[string]sample{}
	for _, s := range r.samples() {
		require.GreaterOrEqual(t, s.time, begin)
		if before, known := last[s.pod]; known {
			require.Greater(t, s.time, before.time)
			require.NotEqual(t, before.value, s.value) //nolint:testifylint // counted, not computed
		}
		last[s.pod] = s
	}
	require.Len(t, last, 20)
}

func TestPartialSuccessIsAnError(t *testing.T) {
	r := &recorder{reject: 3}
	g := generatorFor(t, r.serve(t), 1, 1)
	err := g.pass(t.Context(), now)
	require.ErrorIs(t, err, errPartial)
	require.ErrorContains(t, err, "3 rejected: too many series")
}

func TestPaceSendsUntilStopped(t *testing.T) {
	r := &recorder{}
	g := generatorFor(t, r.serve(t), 4, 1)
	failed, stop := g.pace(t.Context(), 10_000)
	for range 20 {
		<-r.gotOne
	}
	require.NoError(t, stop())
	require.NoError(t, stop(), "again")
	require.Empty(t, failed)
	require.GreaterOrEqual(t, g.sent.Load(), int64(16), "four may have been under way")
}

func TestPaceTellsOfAServerThatIsGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	g := generatorFor(t, l.Addr().String(), 4, 1)
	failed, stop := g.pace(t.Context(), 10_000)
	require.ErrorContains(t, <-failed, "export")
	require.Error(t, stop())
}
