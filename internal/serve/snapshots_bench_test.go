package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/selfmetrics"
	"github.com/keda-otel-scaler/keda-otel-scaler/otlpreceiver"
	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

const (
	benchPods   = 10_000
	benchSeries = 100 // of each pod: a million in all
)

// BenchmarkExportWhileWriting is of sidecars' pushes over a real connection, one
// after the other, to a million series, with and without snapshots being written
// all the time; and of the snapshot, to a file and back.
func BenchmarkExportWhileWriting(b *testing.B) {
	cfg := testConfig(b, "--snapshot-path="+filepath.Join(b.TempDir(), "snapshot"), "--warm-up=0")
	registry := selfmetrics.NewRegistry()
	logger := slog.New(slog.DiscardHandler)
	samples := store.New(store.Options{Retention: time.Hour})
	receiver, err := otlpreceiver.New(otlpreceiver.Options{Store: samples, ResourceAttributes: []string{"*"}, Registerer: registry})
	require.NoError(b, err)
	queries, err := query.New(query.Options{Store: samples})
	require.NoError(b, err)
	answers, err := scaler.New(scaler.Options{Queries: queries})
	require.NoError(b, err)
	gates, err := newGates(cfg, logger, registry)
	require.NoError(b, err)
	n := newSnapshots(cfg, samples, answers, logger, registry)
	server := newOTLPServer(cfg, gates, selfmetrics.NewGRPC(registry, logger), receiver)
	export := benchClient(b, server)
	for round := range 12 { // samples of each
		for pod := range benchPods {
			export(pod, round)
		}
	}

	for _, writing := range []bool{false, true} {
		b.Run(fmt.Sprint("writing=", writing), func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			var background sync.WaitGroup
			if writing {
				background.Go(func() {
					for ctx.Err() == nil {
						n.write(ctx)
					}
				})
			}
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				export(len(took)*7919%benchPods, 20)
				took = append(took, time.Since(began))
			}
			cancel()
			background.Wait()
			slices.Sort(took)
			for name, at := range map[string]int{"p50-µs": len(took) / 2, "p99-µs": len(took) * 99 / 100, "max-µs": len(took) - 1} {
				b.ReportMetric(float64(took[at].Microseconds()), name)
			}
		})
	}
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			_, written := n.write(b.Context())
			require.True(b, written)
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			n.samples, n.answers = store.New(store.Options{}), answers
			_, series, err := n.read()
			require.NoError(b, err)
			require.Equal(b, benchPods*benchSeries, series)
		}
	})
}

// benchClient returns a function that exports a pod's points.
func benchClient(b *testing.B, server *grpc.Server) (export func(pod, value int)) {
	b.Helper()
	l, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	client := pmetricotlp.NewGRPCClient(dialGRPC(b, l.Addr()))
	b.Cleanup(func() {
		server.Stop()
		require.NoError(b, <-served)
	})
	return func(pod, value int) {
		md := pmetric.NewMetrics()
		r := md.ResourceMetrics().AppendEmpty()
		r.Resource().Attributes().PutStr("k8s.namespace.name", fmt.Sprint("team-", pod/100))
		r.Resource().Attributes().PutStr("k8s.pod.name", fmt.Sprint("model-58f9c58b85-", pod))
		metrics := r.ScopeMetrics().AppendEmpty().Metrics()
		now := pcommon.NewTimestampFromTime(time.Now())
		for i := range benchSeries {
			m := metrics.AppendEmpty()
			m.SetName(fmt.Sprint("vllm_metric_", i))
			p := m.SetEmptyGauge().DataPoints().AppendEmpty()
			p.SetTimestamp(now)
			p.SetIntValue(int64(value * i))
		}
		_, err := client.Export(context.Background(), pmetricotlp.NewExportRequestFromMetrics(md))
		if err != nil {
			b.Fatal(err)
		}
	}
}
