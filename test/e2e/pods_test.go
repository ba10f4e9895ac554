package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/modelserver"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/sidecar"
)

const (
	running = "vllm:num_requests_running"

	// appears is ample for Collectors to start side by side, scrape and push.
	appears = 45 * time.Second
	// follows is ample for the next scrape and push.
	follows = 10 * time.Second
)

// pod is a model server with its sidecar.
type pod struct {
	*modelserver.Server
	*process.Process
	sidecar sidecar.Config
}

// startPods runs n pods of the component in a namespace, whose sidecars push to
// the scaler.
func (a addresses) startPods(t testing.TB, namespace string, n int, metricNames ...string) []*pod {
	t.Helper()
	pods := make([]*pod, n)
	for i := range pods {
		server := modelserver.Start(t, process.FreeAddress(t), "fbopt")
		pods[i] = &pod{Server: server, sidecar: sidecar.Config{
			Pod:         sidecar.Pod{Namespace: namespace, Deployment: component, Name: fmt.Sprintf("pod-%d", i)},
			Target:      server.Address(),
			Endpoint:    a.otlp,
			MetricNames: metricNames,
		}}
		pods[i].startSidecar(t)
	}
	return pods
}

// startSidecar runs the pod's Collector, the first or the next.
func (p *pod) startSidecar(t testing.TB) { t.Helper(); p.Process = sidecar.Start(t, p.sidecar) }

// setRunning sets how many requests each pod has in flight.
func setRunning(pods []*pod, load ...float64) {
	for i, p := range pods {
		p.Set(modelserver.Load{Running: load[i]})
	}
}
