package scaler

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a scaler behind a real connection, over a store whose clock is moved
// by hand.
type rig struct {
	t      testing.TB
	store  *store.Store
	server *Server
	client pb.ExternalScalerClient
	ms     atomic.Int64
	logs   *lines
}

// lines is a log that may be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), s)
}

func newRig(t testing.TB, o Options) *rig {
	t.Helper()
	r := &rig{t: t, logs: &lines{}}
	r.ms.Store(1_700_000_000_000)
	now := func() time.Time { return time.UnixMilli(r.ms.Load()) }
	r.store = store.New(store.Options{Now: now})
	engine, err := query.New(query.Options{Store: r.store})
	require.NoError(t, err)
	o.Queries, o.Now = engine, now
	o.Logger = slog.New(slog.NewTextHandler(r.logs, nil))
	r.server, err = New(o)
	require.NoError(t, err)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := grpc.NewServer()
	r.server.Register(g)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		g.Stop()
		require.NoError(t, <-done)
	})
	r.client = pb.NewExternalScalerClient(conn)
	return r
}

// push stores a value of the page's metric for a pod.
func (r *rig) push(pod string, v float64) {
	r.t.Helper()
	a := r.store.Appender()
	_, err := a.Append(labels.FromStrings(labels.MetricName, "vllm:num_requests_running",
		"namespace", "default", "deployment", "huggingface-fbopt-predictor", "pod", pod), r.ms.Load(), v)
	require.NoError(r.t, err)
	a.Commit()
}

func (r *rig) end(pod string) { r.push(pod, math.Float64frombits(value.StaleNaN)) }

func (r *rig) wait(d time.Duration) { r.ms.Add(d.Milliseconds()) }

func ref(md map[string]string) *pb.ScaledObjectRef {
	return &pb.ScaledObjectRef{Name: "huggingface-fbopt-predictor", Namespace: "default", ScalerMetadata: md}
}

// poll asks as KEDA does at each poll.
func (r *rig) poll(md map[string]string) (value float64, active bool, err error) {
	r.t.Helper()
	spec, err := r.client.GetMetricSpec(r.t.Context(), ref(md))
	require.NoError(r.t, err, "data must not decide over the spec")
	require.Len(r.t, spec.GetMetricSpecs(), 1)
	m, err := r.client.GetMetrics(r.t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: ref(md), MetricName: "as-asked"})
	a, activeErr := r.client.IsActive(r.t.Context(), ref(md))
	require.Equal(r.t, status.Code(err), status.Code(activeErr), "value and activity agree on holding")
	if err != nil {
		return 0, false, err
	}
	require.Len(r.t, m.GetMetricValues(), 1)
	v := m.GetMetricValues()[0]
	require.Equal(r.t, "as-asked", v.GetMetricName())
	require.InDelta(r.t, math.Ceil(v.GetMetricValueFloat()), float64(v.GetMetricValue()), 0)
	return v.GetMetricValueFloat(), a.GetResult(), nil
}

func (r *rig) require(md map[string]string, value float64, active bool) {
	r.t.Helper()
	v, a, err := r.poll(md)
	require.NoError(r.t, err)
	require.InDelta(r.t, value, v, 0)
	require.Equal(r.t, active, a)
}

func (r *rig) requireHeld(md map[string]string, why string) {
	r.t.Helper()
	_, _, err := r.poll(md)
	require.Equal(r.t, codes.Unavailable, status.Code(err))
	require.ErrorContains(r.t, err, "ScaledObject default/huggingface-fbopt-predictor: holding the last decision")
	require.ErrorContains(r.t, err, why)
}

func TestMetricSpecComesFromMetadataAlone(t *testing.T) {
	r := newRig(t, Options{WarmUp: time.Hour})
	for _, tc := range []struct {
		md     map[string]string
		name   string
		target float64
		whole  int64
	}{
		{kserve, "vllm:num_requests_running", 4, 4},
		{with(kserve, "targetValue", "500m"), "vllm:num_requests_running", 0.5, 1},
		{with(kserve, "metricQuery", `sum({"http.server/requests"})`), "http_server_requests", 4, 4},
		{with(kserve, "metricQuery", `sum({__name__=~"a|b"})`), "promql", 4, 4},
		{with(kserve, "metricQuery", `sum({__name__="a/b"})`), "a_b", 4, 4},
	} {
		spec, err := r.client.GetMetricSpec(t.Context(), ref(tc.md))
		require.NoError(t, err)
		require.Len(t, spec.GetMetricSpecs(), 1)
		s := spec.GetMetricSpecs()[0]
		require.Equal(t, tc.name, s.GetMetricName())
		require.InDelta(t, tc.target, s.GetTargetSizeFloat(), 0)
		require.Equal(t, tc.whole, s.GetTargetSize())
		stream, err := r.client.StreamMetricSpec(t.Context(), ref(tc.md))
		require.NoError(t, err)
		streamed, err := stream.Recv()
		require.NoError(t, err)
		require.Equal(t, spec.String(), streamed.String(), "both ways of asking agree")
	}
}

// TestBadTriggerIsRefusedByEveryRPC, but where there is a target KEDA gets a spec,
// or it would not ask the questions whose errors it shows.
func TestBadTriggerIsRefusedByEveryRPC(t *testing.T) {
	r := newRig(t, Options{})
	recv := func(_ any, err error) error { return err }
	for _, tc := range []struct {
		md   map[string]string
		want string
	}{
		{with(kserve, "targetValue", "many"), `targetValue: "many" is not a number`},
		{with(kserve, "metricQuery", "sum(x"), `metricQuery: bad query: "sum(x"`},
		{nil, "metricQuery is missing"},
	} {
		calls := map[string]func(context.Context) error{
			"GetMetricSpec": func(ctx context.Context) error { return recv(r.client.GetMetricSpec(ctx, ref(tc.md))) },
			"GetMetrics": func(ctx context.Context) error {
				return recv(r.client.GetMetrics(ctx, &pb.GetMetricsRequest{ScaledObjectRef: ref(tc.md)}))
			},
			"IsActive": func(ctx context.Context) error { return recv(r.client.IsActive(ctx, ref(tc.md))) },
			"StreamIsActive": func(ctx context.Context) error {
				s, err := r.client.StreamIsActive(ctx, ref(tc.md))
				require.NoError(t, err)
				return recv(s.Recv())
			},
			"StreamMetricSpec": func(ctx context.Context) error {
				s, err := r.client.StreamMetricSpec(ctx, ref(tc.md))
				require.NoError(t, err)
				return recv(s.Recv())
			},
		}
		for name, call := range calls {
			err := call(t.Context())
			if name == "GetMetricSpec" && tc.md["targetValue"] == "4" {
				require.NoError(t, err)
				continue
			}
			require.Equal(t, codes.InvalidArgument, status.Code(err), name)
			require.ErrorContains(t, err, "ScaledObject default/huggingface-fbopt-predictor", name)
			require.ErrorContains(t, err, tc.want, name)
		}
	}
	_, err := r.client.GetMetrics(t.Context(), &pb.GetMetricsRequest{})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
}

func TestValueActivityAndClamps(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 2)
	r.push("b", 0.5)
	r.require(kserve, 2.5, true)
	r.require(with(kserve, "activationTargetValue", "2.5"), 2.5, false)
	r.require(with(kserve, "activationTargetValue", "2499m"), 2.5, true)
	r.require(with(kserve, "clampMax", "1"), 1, true)
	r.require(with(kserve, "clampMax", "-1"), -1, true)
	r.push("c", 0)
	r.wait(time.Second)
	r.push("a", 0)
	r.push("b", 0)
	r.require(kserve, 0, false)
	r.require(with(kserve, "clampMin", "3"), 3, false)
	r.require(with(kserve, "operationOverTime", "max"), 2.5, true)
}

func TestMetricNameDefaultsToTheSpecs(t *testing.T) {
	r := newRig(t, Options{})
	m, err := r.client.GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: ref(kserve)})
	require.NoError(t, err)
	require.Equal(t, "vllm:num_requests_running", m.GetMetricValues()[0].GetMetricName())
}

func TestValueThatKEDACannotCarryIsAnError(t *testing.T) {
	r := newRig(t, Options{})
	for text, want := range map[string]string{
		`vector(1) / 0`:  "is +Inf",
		`vector(1e17)`:   "that the HPA can count",
		`vector(-1e300)`: "that the HPA can count",
	} {
		_, err := r.client.GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: ref(with(kserve, "metricQuery", text))})
		require.Equal(t, codes.FailedPrecondition, status.Code(err), text)
		require.ErrorContains(t, err, want)
	}
}

func TestNothingStartedYetIsZero(t *testing.T) {
	r := newRig(t, Options{})
	r.require(kserve, 0, false)
	r.require(with(kserve, "onMissing", "value", "valueIfNotFound", "3"), 3, true)
	_, _, err := r.poll(with(kserve, "onMissing", "error"))
	require.Equal(t, codes.Unavailable, status.Code(err))
}

func TestWarmUpHoldsUntilDataOrItsEnd(t *testing.T) {
	r := newRig(t, Options{WarmUp: 30 * time.Second})
	r.requireHeld(kserve, "has just started")
	r.wait(29 * time.Second)
	r.requireHeld(with(kserve, "metricQuery", "other"), "has just started")
	r.push("a", 1)
	_, err := r.client.GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: ref(kserve)})
	require.Equal(t, codes.Unavailable, status.Code(err), "others may have more")
	require.ErrorContains(t, err, "is 1 of the senders that have pushed since the scaler started")
	active, err := r.client.IsActive(t.Context(), ref(kserve))
	require.NoError(t, err)
	require.True(t, active.GetResult(), "whatever the others have")
	r.requireHeld(with(kserve, "activationTargetValue", "1"), "is 1 of the senders")
	r.require(with(kserve, "onMissing", "zero"), 1, true)
	r.wait(time.Second)
	r.require(with(kserve, "metricQuery", "other"), 0, false)
	r.require(kserve, 1, true)
}

// TestBusyPodsThatVanishAreHeld is the promise of the whole thing: a model
// whose metrics are lost under load is not scaled to zero, however long it takes.
func TestBusyPodsThatVanishAreHeld(t *testing.T) {
	r := newRig(t, Options{})
	for range 3 {
		r.push("a", 5)
		r.push("b", 4)
		r.wait(5 * time.Second)
	}
	r.require(kserve, 9, true)
	r.wait(10 * time.Second)
	r.requireHeld(kserve, "2 series stopped coming")
	r.requireHeld(kserve, "the value was 9 then")
	r.require(with(kserve, "onMissing", "zero"), 0, false)
	r.wait(10 * time.Minute)
	r.store.Sweep()
	r.requireHeld(kserve, "there was load when it last did")
	r.push("a", 2)
	r.require(kserve, 2, true)
}

func TestPodsThatVanishIdleAreZero(t *testing.T) {
	r := newRig(t, Options{})
	for range 3 {
		r.push("a", 5)
		r.wait(5 * time.Second)
	}
	r.require(kserve, 5, true)
	r.push("a", 0) // nobody asks while it is idle
	r.wait(20 * time.Second)
	r.require(kserve, 0, false)
	r.wait(10 * time.Minute)
	r.store.Sweep()
	r.require(kserve, 0, false)
}

func TestPodsThatEndGracefullyAreZero(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 5)
	r.require(kserve, 5, true)
	r.wait(5 * time.Second)
	r.end("a")
	r.require(kserve, 0, false)
	r.wait(10 * time.Minute)
	r.store.Sweep()
	r.require(kserve, 0, false)
}

func TestScaledObjectsDoNotShareMemory(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 5)
	r.require(kserve, 5, true)
	r.wait(10 * time.Minute)
	r.store.Sweep()
	r.requireHeld(kserve, "")
	other := &pb.ScaledObjectRef{Name: "other", Namespace: "default", ScalerMetadata: kserve}
	a, err := r.client.IsActive(t.Context(), other)
	require.NoError(t, err)
	require.False(t, a.GetResult())
}

func TestTriggersOfOneScaledObjectDoNotShareMemory(t *testing.T) {
	r := newRig(t, Options{})
	lazy := with(kserve, "activationTargetValue", "10")
	r.push("a", 5)
	r.require(kserve, 5, true)
	r.require(lazy, 5, false)
	r.wait(10 * time.Minute)
	r.store.Sweep()
	r.requireHeld(kserve, "")
	r.require(lazy, 0, false)
}

// TestCallerThatIsGoneChangesNothing: KEDA's restart cuts calls off.
func TestCallerThatIsGoneChangesNothing(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 5)
	r.require(kserve, 5, true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.server.IsActive(ctx, ref(kserve))
	require.Equal(t, codes.Canceled, status.Code(err))
	require.Zero(t, r.logs.count("msg=holding"))
	require.InDelta(t, 0, testutil.ToFloat64(r.server.metrics.answers[causeFailed]), 0)
}

func TestChangesAreLoggedOnceAndAnswersCounted(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	r := newRig(t, Options{Registerer: reg})
	md := with(kserve, "zzz", "1")
	for range 3 {
		for range 5 {
			r.push("a", 5)
			_, _, err := r.poll(md)
			require.NoError(t, err)
			r.wait(5 * time.Second)
		}
		r.wait(time.Minute)
		for range 5 {
			_, _, err := r.poll(md)
			require.Error(t, err)
		}
	}
	require.Equal(t, 3, r.logs.count("msg=answering"))
	require.Equal(t, 3, r.logs.count("msg=holding"))
	require.Equal(t, 1, r.logs.count("keys=[zzz]"))
	require.InDelta(t, 30, testutil.ToFloat64(r.server.metrics.answers[causeValue]), 0)
	require.InDelta(t, 30, testutil.ToFloat64(r.server.metrics.answers[causeGone]), 0)
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}
