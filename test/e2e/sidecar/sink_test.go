package sidecar

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
)

// sink is an OTLP receiver that keeps everything, to see what a Collector
// really sends.
type sink struct {
	collector.UnimplementedMetricsServiceServer

	mu      sync.Mutex // guards metrics
	metrics []*metrics.Metric
}

func newSink(t *testing.T) (*sink, string) {
	t.Helper()
	listener, err := net.Listen("tcp", process.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{}
	server := grpc.NewServer()
	collector.RegisterMetricsServiceServer(server, s)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return s, listener.Addr().String()
}

func (s *sink) Export(_ context.Context, r *collector.ExportMetricsServiceRequest) (*collector.ExportMetricsServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rm := range r.ResourceMetrics {
		for _, sm := range rm.ScopeMetrics {
			s.metrics = append(s.metrics, sm.Metrics...)
		}
	}
	return &collector.ExportMetricsServiceResponse{}, nil
}

// last returns the most recent metric of a name.
func (s *sink) last(name string) (*metrics.Metric, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.metrics) - 1; i >= 0; i-- {
		if s.metrics[i].Name == name {
			return s.metrics[i], nil
		}
	}
	return nil, fmt.Errorf("no %s has arrived", name)
}

func (s *sink) names() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := map[string]bool{}
	for _, m := range s.metrics {
		names[m.Name] = true
	}
	return names
}

func text(attributes []*common.KeyValue) map[string]string {
	m := map[string]string{}
	for _, a := range attributes {
		m[a.Key] = a.Value.GetStringValue()
	}
	return m
}
