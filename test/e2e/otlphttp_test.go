package e2e

import (
	"fmt"
	"testing"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/modelserver"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/sidecar"
)

// TestCollectorsOverHTTP have the exporter for OTLP over HTTP in KServe's
// configuration, and of its settings only the endpoint, but where a case says more.
func TestCollectorsOverHTTP(t *testing.T) {
	t.Parallel()
	s := startScaler(t)
	for name, settings := range map[string][]string{
		"port of its own":          {"endpoint: http://" + s.otlpHTTP},
		"port of its own, in JSON": {"endpoint: http://" + s.otlpHTTP, "encoding: json", "compression: zstd"},
		"as to Prometheus":         {"endpoint: http://" + s.http + "/api/v1/otlp"},
		"as to Prometheus, plain":  {"endpoint: http://" + s.http + "/api/v1/otlp", "compression: none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := modelserver.Start(t, process.FreeAddress(t), "fbopt")
			server.Set(modelserver.Load{Running: 3})
			namespace := fmt.Sprintf("http-%x", name)
			config := sidecar.Config{
				Pod:         sidecar.Pod{Namespace: namespace, Deployment: component, Name: "pod-0"},
				Target:      server.Address(),
				Endpoint:    "nobody.invalid:4317", // of the exporter that no pipeline has
				MetricNames: []string{running},
				Settings:    []string{"service::pipelines::metrics::exporters: [otlphttp]"},
			}
			for _, setting := range settings {
				config.Settings = append(config.Settings, "exporters::otlphttp::"+setting)
			}
			sidecar.Start(t, config)
			consumer := s.consume(t, namespace, wrapped(running, namespace), "4")
			consumer.becomes(t, appears, reading{3, true}, 0)
			server.Set(modelserver.Load{})
			consumer.becomes(t, follows, reading{0, false}, 0, answered)
		})
	}
}
