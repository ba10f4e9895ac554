package main

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
)

// receiver keeps the requests as they came off the wire.
type receiver struct {
	collector.UnimplementedMetricsServiceServer
	requests chan *collector.ExportMetricsServiceRequest
}

func (r *receiver) Export(_ context.Context, request *collector.ExportMetricsServiceRequest) (*collector.ExportMetricsServiceResponse, error) {
	r.requests <- request
	return &collector.ExportMetricsServiceResponse{}, nil
}

// next returns a request's metrics by name, and its resource attributes.
func (r *receiver) next(t *testing.T) (byName map[string]*metrics.Metric, resource map[string]string) {
	t.Helper()
	byName, resource = map[string]*metrics.Metric{}, map[string]string{}
	for _, of := range (<-r.requests).ResourceMetrics {
		for _, a := range of.Resource.Attributes {
			resource[a.Key] = a.Value.GetStringValue()
		}
		for _, scope := range of.ScopeMetrics {
			for _, m := range scope.Metrics {
				byName[m.Name] = m
			}
		}
	}
	return byName, resource
}

// serveGRPC serves on a free port until the test is over.
func serveGRPC(t *testing.T, register func(*grpc.Server)) (address string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	register(server)
	go func() { _ = server.Serve(listener) }() // ends with Stop
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func startReceiver(t *testing.T) (r *receiver, address string) {
	r = &receiver{requests: make(chan *collector.ExportMetricsServiceRequest, 100)}
	return r, serveGRPC(t, func(s *grpc.Server) { collector.RegisterMetricsServiceServer(s, r) })
}

func TestPodPushesWhatVLLMDoes(t *testing.T) {
	got, address := startReceiver(t)
	var pushes pushClock
	p, err := startPod(t.Context(), "pod-a", address, &pushes)
	require.NoError(t, err)

	p.serve(3, 2)
	require.NoError(t, p.provider.ForceFlush(t.Context()))
	byName, resource := got.next(t)
	assert.Equal(t, map[string]string{
		"k8s.namespace.name":  "default",
		"k8s.deployment.name": "huggingface-fbopt-predictor",
		"k8s.pod.name":        "pod-a",
	}, resource)
	require.Len(t, byName, 4, "names with their colon")
	gauge := byName["vllm:num_requests_running"].GetGauge().DataPoints[0]
	assert.EqualValues(t, 3, gauge.GetAsInt())
	labels := map[string]string{}
	for _, a := range gauge.Attributes {
		labels[a.Key] = a.Value.GetStringValue()
	}
	assert.Equal(t, map[string]string{"namespace": "default", "deployment": "huggingface-fbopt-predictor", "pod": "pod-a"}, labels)
	assert.EqualValues(t, 2, byName["vllm:num_requests_waiting"].GetGauge().DataPoints[0].GetAsInt())
	assert.EqualValues(t, 90, byName["vllm:generation_tokens"].GetSum().DataPoints[0].GetAsInt())
	assert.EqualValues(t, 3, byName["vllm:time_to_first_token_seconds"].GetHistogram().DataPoints[0].Count)
	assert.NotZero(t, pushes.landed.Load())
	assert.Equal(t, pushes.begun.Load(), pushes.landed.Load())

	require.NoError(t, p.stop(t.Context()))
	byName, _ = got.next(t)
	assert.EqualValues(t, 0, byName["vllm:num_requests_running"].GetGauge().DataPoints[0].GetAsInt(), "a drained pod says so")
}

func TestFleetFollowsTheReplicas(t *testing.T) {
	got, address := startReceiver(t)
	f := newFleet(address, 4)
	require.NoError(t, f.scale(t.Context(), 3))
	f.spread(26)
	var running, waiting int64
	for _, p := range f.pods {
		running += p.running.Load()
		waiting += p.waiting.Load()
	}
	assert.EqualValues(t, []int64{24, 2}, []int64{running, waiting}, "eight run in a pod, the rest waits")

	oldest := f.pods[0].name
	assert.Equal(t, oldest, f.kill())
	require.Len(t, f.pods, 2)
	require.NoError(t, f.scale(t.Context(), 3), "a new pod takes over")
	require.NoError(t, f.scale(t.Context(), 0))
	assert.Empty(t, f.pods)

	close(got.requests)
	for request := range got.requests {
		for _, a := range request.ResourceMetrics[0].Resource.Attributes {
			assert.NotEqual(t, oldest, a.Value.GetStringValue(), "a killed pod says nothing more")
		}
	}
}
