package otlpreceiver

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	colpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// kserve is what the collector beside one vLLM pod pushes: a scrape's worth,
// with or without KServe's transform processor.
func kserve(s float64, transform bool) *mpb.ResourceMetrics {
	attrs := []string{"model_name", "fbopt"}
	if transform {
		attrs = append(attrs, "namespace", "models", "deployment", "fbopt-predictor", "pod", "fbopt-predictor-0")
	}
	var ms []*mpb.Metric
	for _, n := range []string{"num_requests_running", "num_requests_waiting", "gpu_cache_usage_perc"} {
		ms = append(ms, gaugeOf("vllm:"+n, double(s, 3, attrs...)))
	}
	for _, n := range []string{"prompt_tokens_total", "generation_tokens_total", "request_success_total"} {
		ms = append(ms, sumOf("vllm:"+n, cumulative, true, double(s, 1000, attrs...)))
	}
	bounds := []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
	counts := make([]uint64, len(bounds)+1)
	for i := range counts {
		counts[i] = uint64(i)
	}
	for _, n := range []string{"time_to_first_token_seconds", "time_per_output_token_seconds", "e2e_request_latency_seconds", "iteration_tokens_total"} {
		ms = append(ms, histogramOf("vllm:"+n, cumulative, buckets(s, bounds, counts, 42, attrs...)))
	}
	return resource(kv(
		"service.name", "otel-collector", "service.instance.id", "localhost:8080", "server.port", "8080", "url.scheme", "http",
		"k8s.namespace.name", "models", "k8s.deployment.name", "fbopt-predictor", "k8s.pod.name", "fbopt-predictor-0",
	), ms...)
}

// BenchmarkExport is one push of one KServe pod, from bytes to the store.
func BenchmarkExport(b *testing.B) {
	h := serve(b, config{})
	series := 0
	requests := make([][]byte, 60)
	for i := range requests {
		req := &colpb.ExportMetricsServiceRequest{ResourceMetrics: []*mpb.ResourceMetrics{kserve(float64(i), true)}}
		var err error
		requests[i], err = proto.Marshal(req)
		require.NoError(b, err)
	}
	b.SetBytes(int64(len(requests[0])))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		res, err := h.receiver.export(b.Context(), &request{buf: mem.SliceBuffer(requests[i%len(requests)])})
		if err != nil || len(*res) > 0 {
			b.Fatal(fmt.Sprint(err), string(*res))
		}
	}
	series = h.store.SeriesCount()
	b.ReportMetric(float64(series), "samples/op")
}
