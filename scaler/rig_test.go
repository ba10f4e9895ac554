package scaler

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a scaler behind a real connection, over a store whose clock the test
// moves. Nothing runs in the background: tick evaluates what is due.
type rig struct {
	t      testing.TB
	store  *store.Store
	server *Server
	client pb.ExternalScalerClient
	ms     atomic.Int64 // that passed since 1970
	set    atomic.Int64 // by how much the clock was set besides, in ms
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
	return newRigWith(t, o, store.Options{}, query.Options{})
}

// newRigWith is newRig with options of the store and of the query engine.
func newRigWith(t testing.TB, o Options, so store.Options, qo query.Options) *rig {
	t.Helper()
	r := &rig{t: t, logs: &lines{}}
	r.ms.Store(1_700_000_000_000)
	r.open(o, so, qo)
	return r
}

// open makes the store, the server and a connection.
func (r *rig) open(o Options, so store.Options, qo query.Options) {
	t := r.t
	t.Helper()
	if so.Now == nil {
		so.Now = func() time.Time { return time.UnixMilli(r.ms.Load() + r.set.Load()) }
		so.Elapsed = func() time.Duration { return time.Duration(r.ms.Load()) * time.Millisecond }
	}
	r.store = store.New(so)
	qo.Store = r.store
	engine, err := query.New(qo)
	require.NoError(t, err)
	o.Queries, o.Now = engine, so.Now
	o.Logger = slog.New(slog.NewTextHandler(r.logs, nil))
	r.server, err = New(o)
	require.NoError(t, err)
	r.client = connect(t, r.server.Register)
}

// loopback reports an address of the machine for both ends of its connections.
type loopback struct{ *bufconn.Listener }

type loopbackConn struct{ net.Conn }

func (loopbackConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4318}
}

func (l loopback) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return loopbackConn{c}, nil
}

// connect serves what register registers, and returns a client.
func connect(t testing.TB, register func(grpc.ServiceRegistrar)) pb.ExternalScalerClient {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	g := grpc.NewServer()
	register(g)
	done := make(chan error, 1)
	go func() { done <- g.Serve(loopback{l}) }()
	conn, err := grpc.NewClient("passthrough:rig", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		g.Stop()
		require.NoError(t, <-done)
	})
	return pb.NewExternalScalerClient(conn)
}

func (r *rig) now() int64 { return r.ms.Load() + r.set.Load() }

// put pushes a value of a metric for a pod.
func (r *rig) put(metric, pod string, v float64, more ...string) {
	r.t.Helper()
	a := r.store.Appender()
	_, err := a.Append(labels.FromStrings(append([]string{labels.MetricName, metric, "namespace", "default", "pod", pod}, more...)...), r.now(), v)
	require.NoError(r.t, err)
	a.Commit()
}

// push pushes a value of the metric of kserve's query.
func (r *rig) push(pod string, v float64) {
	r.t.Helper()
	r.put("vllm:num_requests_running", pod, v, "deployment", "huggingface-fbopt-predictor")
}

// marker is what ends a series.
var marker = math.Float64frombits(value.StaleNaN)

func (r *rig) end(pod string) { r.push(pod, marker) }

func (r *rig) wait(d time.Duration) { r.ms.Add(d.Milliseconds()) }

// tick does what production does in the background.
func (r *rig) tick() {
	r.store.Sweep()
	r.server.Tick(r.t.Context())
}

// step is the push interval of most tests.
const step = 5 * time.Second

// steps pushes so many times, with a step before each.
func (r *rig) steps(n int, push func()) {
	r.t.Helper()
	for range n {
		r.wait(step)
		push()
		r.tick()
	}
}

// silence lets time pass in which nothing is pushed.
func (r *rig) silence(d time.Duration) {
	for end := r.ms.Load() + d.Milliseconds(); r.ms.Load() < end; {
		r.ms.Store(min(end, r.ms.Load()+1000))
		r.tick()
	}
}

// pushAll pushes the loads of the pods from the first on.
func (r *rig) pushAll(loads ...float64) {
	r.t.Helper()
	for i, v := range loads {
		r.push(fmt.Sprint(i), v)
	}
}

// pods pushes the pods' loads often enough for their push interval to be known.
func (r *rig) pods(loads ...float64) {
	r.t.Helper()
	r.steps(4, func() { r.pushAll(loads...) })
}

// goOn has the first pods push for so long, the last time now.
func (r *rig) goOn(d time.Duration, loads ...float64) {
	r.t.Helper()
	r.steps(int(d/step), func() { r.pushAll(loads...) })
}

// metricQuery is kserve's metadata with another query.
func metricQuery(text string, more ...string) map[string]string {
	return with(kserve, append([]string{keyQuery, text}, more...)...)
}

func ref(md map[string]string) *pb.ScaledObjectRef {
	return &pb.ScaledObjectRef{Name: "huggingface-fbopt-predictor", Namespace: "default", ScalerMetadata: md}
}

// poll asks as KEDA does at each poll. An error comes with active only if the
// scaler reports activity while it holds.
func (r *rig) poll(md map[string]string) (value float64, active bool, err error) {
	r.t.Helper()
	spec, err := r.client.GetMetricSpec(r.t.Context(), ref(md))
	require.NoError(r.t, err, "data must not decide over the spec")
	require.Len(r.t, spec.GetMetricSpecs(), 1)
	m, err := r.client.GetMetrics(r.t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: ref(md), MetricName: "as-asked"})
	a, activeErr := r.client.IsActive(r.t.Context(), ref(md))
	if err != nil {
		if activeErr == nil {
			require.True(r.t, a.GetResult(), "a hold is never inactive")
			return 0, true, err
		}
		require.Equal(r.t, status.Code(err), status.Code(activeErr))
		return 0, false, err
	}
	require.NoError(r.t, activeErr)
	require.Len(r.t, m.GetMetricValues(), 1)
	v := m.GetMetricValues()[0]
	require.Equal(r.t, "as-asked", v.GetMetricName())
	require.InDelta(r.t, math.Ceil(v.GetMetricValueFloat()), float64(v.GetMetricValue()), 0)
	return v.GetMetricValueFloat(), a.GetResult(), nil
}

// cause returns the cause of the last decision for a trigger.
func (r *rig) cause(md map[string]string) string {
	r.t.Helper()
	return r.last(md).Cause
}

// warning returns the warning of the last decision for a trigger.
func (r *rig) warning(md map[string]string) string {
	r.t.Helper()
	return r.last(md).Warning
}

func (r *rig) last(md map[string]string) *Answer {
	r.t.Helper()
	sum, err := r.server.Remembered(model)
	require.NoError(r.t, err)
	for _, tr := range sum.Triggers {
		if tr.Metadata.Query == md[keyQuery] && tr.Told != nil {
			return tr.Told
		}
	}
	require.Fail(r.t, "the trigger has no decision")
	return nil
}

func (r *rig) require(md map[string]string, value float64, active bool) {
	r.t.Helper()
	v, a, err := r.poll(md)
	require.NoError(r.t, err)
	require.InDelta(r.t, value, v, 1e-9)
	require.Equal(r.t, active, a)
}

// requireCause is require with the cause.
func (r *rig) requireCause(md map[string]string, value float64, active bool, c cause) {
	r.t.Helper()
	r.require(md, value, active)
	require.Equal(r.t, string(c), r.cause(md))
}

func (r *rig) requireHeld(md map[string]string, why string) {
	r.t.Helper()
	_, active, err := r.poll(md)
	require.Error(r.t, err)
	require.Equal(r.t, codes.Unavailable, status.Code(err), err)
	require.ErrorContains(r.t, err, "ScaledObject default/huggingface-fbopt-predictor: holding the last decision")
	require.ErrorContains(r.t, err, why)
	require.False(r.t, active)
}

// requireHeldActive is requireHeld where activity is certain.
func (r *rig) requireHeldActive(md map[string]string, why string) {
	r.t.Helper()
	_, active, err := r.poll(md)
	require.Error(r.t, err)
	require.Equal(r.t, codes.Unavailable, status.Code(err), err)
	require.ErrorContains(r.t, err, why)
	require.True(r.t, active)
}

// holds is requireHeld, whatever is reported of activity.
func (r *rig) holds(md map[string]string, why string) {
	r.t.Helper()
	_, _, err := r.poll(md)
	require.Error(r.t, err)
	require.Equal(r.t, codes.Unavailable, status.Code(err), err)
	require.ErrorContains(r.t, err, why)
}

var noStoreOptions store.Options

// engineOf returns options of an engine that evaluates so many plans at a time.
func engineOf(concurrency int, timeout time.Duration) query.Options {
	return query.Options{Concurrency: concurrency, Timeout: timeout}
}

var nan = math.NaN()
