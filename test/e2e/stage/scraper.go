package stage

import (
	"fmt"
	"testing"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
)

// scraper finds annotated pods as the kubernetes-pods job of Prometheus' own
// examples does, and pushes what they say to the product.
const scraper = `
receivers:
  prometheus:
    config:
      scrape_configs:
        - job_name: kubernetes-pods
          scrape_interval: 1s
          kubernetes_sd_configs: [{role: pod, kubeconfig_file: %s}]
          relabel_configs:
            - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape], action: keep, regex: "true"}
            - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scheme], action: replace, regex: "(https?)", target_label: __scheme__}
            - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path], action: replace, regex: "(.+)", target_label: __metrics_path__}
            - source_labels: [__meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_prometheus_io_port]
              action: replace
              regex: '(.+);(\d+)'
              replacement: $$1:$$2
              target_label: __address__
            - {source_labels: [__meta_kubernetes_namespace], action: replace, target_label: namespace}
            - {source_labels: [__meta_kubernetes_pod_name], action: replace, target_label: pod}
            - {source_labels: [__meta_kubernetes_pod_phase], regex: "Pending|Succeeded|Failed|Completed", action: drop}
exporters:
  otlp:
    compression: none
    endpoint: keda-otel-scaler.keda.svc:4317
    tls: {insecure: true}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    metrics: {receivers: [prometheus], exporters: [otlp]}
`

// StartScraper runs a Collector for the whole cluster, until the test ends.
func (s *Stage) StartScraper(t testing.TB) {
	t.Helper()
	process.Start(t, process.Spec{
		Name: "scraper", Path: s.programs.Collector, Logs: s.logs,
		Args: []string{"--config=file:" + s.file(t, "scraper.yaml", fmt.Sprintf(scraper, s.admin))},
	})
}
