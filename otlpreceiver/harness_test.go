package otlpreceiver

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
	colpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is when every test begins. It is not now: nothing may depend on it.
var start = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// clock is the store's clock; it stands still until a test moves it.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(start.UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// harness is a receiver behind a real gRPC connection.
type harness struct {
	t        testing.TB
	clock    *clock
	store    *store.Store
	reg      *prometheus.Registry
	receiver *Receiver
	addr     string
	conn     *grpc.ClientConn
	client   colpb.MetricsServiceClient
}

type config struct {
	store      store.Options
	attributes []string
	logger     *slog.Logger
	server     []grpc.ServerOption
	register   func(*grpc.Server)

	readTimeout time.Duration // of HTTP
	bounds      Options       // of them, those of what is in flight
}

func serve(t testing.TB, c config) *harness {
	t.Helper()
	h := &harness{t: t, clock: newClock(), reg: prometheus.NewPedanticRegistry()}
	c.store.Now = h.clock.now
	h.store = store.New(c.store)
	var err error
	h.receiver, err = New(Options{
		Store: h.store, ResourceAttributes: c.attributes, Logger: c.logger, Registerer: h.reg,
		MaxHeldBytes: c.bounds.MaxHeldBytes, Tight: c.bounds.Tight, Late: c.bounds.Late,
	})
	require.NoError(t, err)
	h.receiver.now = h.clock.now

	srv := grpc.NewServer(append(ServerOptions(), c.server...)...)
	h.receiver.Register(srv)
	if c.register != nil {
		c.register(srv)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h.addr = lis.Addr().String()
	done := make(chan error, 1)
	go func() { done <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		require.NoError(t, <-done)
	})
	h.conn = h.dial()
	h.client = colpb.NewMetricsServiceClient(h.conn)
	return h
}

func (h *harness) dial(opts ...grpc.DialOption) *grpc.ClientConn {
	h.t.Helper()
	conn, err := grpc.NewClient(h.addr, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func ctx(t testing.TB) context.Context {
	c, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return c
}

// send exports the metrics of one resource without attributes.
func (h *harness) send(ms ...*mpb.Metric) *colpb.ExportMetricsPartialSuccess {
	h.t.Helper()
	return h.export(resource(nil, ms...))
}

func (h *harness) export(rms ...*mpb.ResourceMetrics) *colpb.ExportMetricsPartialSuccess {
	h.t.Helper()
	res, err := h.client.Export(ctx(h.t), &colpb.ExportMetricsServiceRequest{ResourceMetrics: rms})
	require.NoError(h.t, err)
	return res.PartialSuccess
}

// sendOK is send for metrics of which nothing may be rejected or warned of.
func (h *harness) sendOK(ms ...*mpb.Metric) {
	h.t.Helper()
	require.Nil(h.t, h.send(ms...), "partial_success must be unset")
}

// held returns the series of a metric name (all if empty) as text, sorted:
// labels, then each sample as value@seconds since start.
func (h *harness) held(name string) []string {
	h.t.Helper()
	m := labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".+")
	if name != "" {
		m = labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, name)
	}
	out := []string{}
	h.each(m, func(lset labels.Labels, it chunkenc.Iterator) {
		line := text(lset)
		for k := it.Next(); k != chunkenc.ValNone; k = it.Next() {
			at := float64(it.AtT()-start.UnixMilli()) / 1000
			if k == chunkenc.ValFloatHistogram {
				_, fh := it.AtFloatHistogram(nil)
				line += fmt.Sprintf(" %s@%g", fh, at)
				continue
			}
			_, v := it.At()
			if value.IsStaleNaN(v) {
				line += fmt.Sprintf(" stale@%g", at)
				continue
			}
			line += fmt.Sprintf(" %g@%g", v, at)
		}
		out = append(out, line)
	})
	slices.Sort(out)
	return out
}

// native returns the newest native histogram of a metric with one series.
func (h *harness) native(name string) *histogram.FloatHistogram {
	h.t.Helper()
	var fh *histogram.FloatHistogram
	h.each(labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, name), func(_ labels.Labels, it chunkenc.Iterator) {
		for k := it.Next(); k != chunkenc.ValNone; k = it.Next() {
			require.Equal(h.t, chunkenc.ValFloatHistogram, k)
			_, fh = it.AtFloatHistogram(nil)
		}
	})
	require.NotNil(h.t, fh, "no histogram is held")
	return fh
}

func (h *harness) each(m *labels.Matcher, f func(labels.Labels, chunkenc.Iterator)) {
	h.t.Helper()
	q, err := h.store.Querier(math.MinInt64, h.clock.now().UnixMilli())
	require.NoError(h.t, err)
	set := q.Select(ctx(h.t), true, nil, m)
	for set.Next() {
		f(set.At().Labels(), set.At().Iterator(nil))
	}
	require.NoError(h.t, set.Err())
}

// text writes labels as a selector: name{a="b"}.
func text(lset labels.Labels) string {
	var ls []string
	lset.Range(func(l labels.Label) {
		if l.Name != labels.MetricName {
			ls = append(ls, fmt.Sprintf("%s=%q", l.Name, l.Value))
		}
	})
	return lset.Get(labels.MetricName) + "{" + strings.Join(ls, ", ") + "}"
}
