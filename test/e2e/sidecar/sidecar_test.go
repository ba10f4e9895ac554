package sidecar

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/modelserver"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
)

// firstPush is ample for a Collector to start and to scrape once.
const firstPush = 30 * time.Second

var names = []string{
	"process_cpu_seconds_total", "vllm:generation_tokens_total", "vllm:iteration_tokens_total",
	"vllm:num_requests_running", "vllm:request_success_total", "vllm:time_to_first_token_seconds",
}

// TestWhatTheCollectorSends pins the facts about real input that the product's
// receiver is built on.
func TestWhatTheCollectorSends(t *testing.T) {
	t.Parallel()
	sink, endpoint := newSink(t)
	server := modelserver.Start(t, process.FreeAddress(t), "fbopt")
	server.Set(modelserver.Load{Running: 3, GenerationTokens: 100, Requests: 10, TimeToFirstToken: 0.3})
	pod := Pod{Namespace: "models", Deployment: "huggingface-fbopt-predictor", Name: "pod-0"}
	Start(t, Config{Pod: pod, Target: server.Address(), Endpoint: endpoint, MetricNames: names})
	poll.Until(t, firstPush, func(context.Context) error {
		_, err := sink.last("vllm:time_to_first_token_seconds")
		return err
	})

	t.Run("only the named metrics", func(t *testing.T) {
		for name := range sink.names() {
			require.True(t, slices.Contains(names, name), "%s passed the filter", name)
		}
		require.Len(t, sink.names(), len(names))
	})
	t.Run("a gauge with the pod's identity on the point", func(t *testing.T) {
		m, err := sink.last("vllm:num_requests_running")
		require.NoError(t, err)
		point := m.GetGauge().GetDataPoints()[0]
		require.InDelta(t, 3, point.GetAsDouble(), 0)
		require.Equal(t, map[string]string{
			"engine": "0", "model_name": "fbopt", "namespace": pod.Namespace, "deployment": pod.Deployment, "pod": pod.Name,
		}, text(point.Attributes))
	})
	t.Run("counters keep _total and are cumulative and monotonic", func(t *testing.T) {
		for _, name := range []string{"vllm:generation_tokens_total", "process_cpu_seconds_total"} {
			m, err := sink.last(name)
			require.NoError(t, err)
			require.True(t, m.GetSum().GetIsMonotonic(), name)
			require.Equal(t, metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE, m.GetSum().GetAggregationTemporality(), name)
		}
	})
	t.Run("a histogram is one, even when its name ends in _total", func(t *testing.T) {
		for _, name := range []string{"vllm:time_to_first_token_seconds", "vllm:iteration_tokens_total"} {
			m, err := sink.last(name)
			require.NoError(t, err)
			point := m.GetHistogram().GetDataPoints()[0]
			require.NotEmpty(t, point.ExplicitBounds, name)
			require.Len(t, point.BucketCounts, len(point.ExplicitBounds)+1, name)
		}
	})
	t.Run("the end of a series is NoRecordedValue once the model server is gone", func(t *testing.T) {
		server.Stop(t)
		poll.Until(t, 5*time.Second, func(context.Context) error { return ended(sink, "vllm:num_requests_running") })
		poll.Until(t, time.Second, func(context.Context) error { return ended(sink, "vllm:time_to_first_token_seconds") })
	})
}

// TestACollectorToldToEndSaysNothing is why the absence of a marker proves
// nothing about a pod: a sidecar that ends in good order just stops sending.
func TestACollectorToldToEndSaysNothing(t *testing.T) {
	t.Parallel()
	sink, endpoint := newSink(t)
	server := modelserver.Start(t, process.FreeAddress(t), "fbopt")
	server.Set(modelserver.Load{Running: 3})
	collector := Start(t, Config{
		Pod:    Pod{Namespace: "models", Deployment: "huggingface-fbopt-predictor", Name: "pod-0"},
		Target: server.Address(), Endpoint: endpoint, MetricNames: names,
	})
	poll.Until(t, firstPush, func(context.Context) error {
		_, err := sink.last("vllm:num_requests_running")
		return err
	})
	require.Zero(t, collector.Terminate(t))
	require.Error(t, ended(sink, "vllm:num_requests_running"))
}

// ended reports whether the last point of a metric is a staleness marker.
func ended(s *sink, name string) error {
	m, err := s.last(name)
	if err != nil {
		return err
	}
	var flags uint32
	if h := m.GetHistogram(); h != nil {
		flags = h.DataPoints[0].Flags
	} else {
		flags = m.GetGauge().GetDataPoints()[0].Flags
	}
	if flags&uint32(metrics.DataPointFlags_DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK) == 0 {
		return fmt.Errorf("the last %s has a value", name)
	}
	return nil
}
