//go:build linux

package plays

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/stage"
)

// playPrometheus is the page's second example: KEDA's own prometheus trigger
// asks the address on the page, which is ours. What is scraped comes to us from
// a Collector that finds annotated pods, as a Prometheus would.
func playPrometheus(t *testing.T, s *stage.Stage) {
	const ns = "play-2"
	s.Namespace(t, ns)
	s.StartScraper(t)
	s.ApplyPage(t, ns, stage.PagePrometheus)
	w := s.InFlight(ns, fbopt)
	w.Value = func(ctx context.Context) (float64, error) { return stage.Query(ctx, "vllm:num_requests_running") }
	r := s.Record(t, "play 2: Prometheus metrics", w)
	object := s.ScaledObject(t, ns, fbopt, map[string]string{"Ready": "True"})
	triggers, _, err := unstructured.NestedSlice(object.Object, "spec", "triggers")
	require.NoError(t, err)
	require.Equal(t, []any{map[string]any{"type": "prometheus", "metadata": map[string]any{
		"serverAddress": "http://prometheus.istio-system.svc.cluster.local:9090", "threshold": "2",
		"query": "vllm:num_requests_running",
	}}}, triggers)
	rendered(t, s, ns, stage.PagePrometheus, stage.ScaledObjects)
	s.Pods(t, ns, 1)

	// hey -z 30s -c 5
	since := r.Mark("5 in flight for 30 s")
	s.Kubelet.SetLoad(ns, 5)
	hey := time.After(30 * time.Second)
	// 5 of a target of 2 is 3 replicas, however many pods share the five: a
	// Prometheus answers a bare metric with a series a pod, and KEDA refuses that.
	t.Logf("spec.replicas is 3 after %s", r.Becomes(t, 3, since, stage.Follows).Round(10*time.Millisecond))
	s.Pods(t, ns, 3)
	settled := time.Now()
	s.ScaledObject(t, ns, fbopt, map[string]string{"Ready": "True", "Active": "True"})
	<-hey
	require.Equal(t, 3, r.Lowest(settled), "with several pods the value is no less right")
	value, err := stage.Query(t.Context(), "vllm:num_requests_running")
	require.NoError(t, err)
	require.InDelta(t, 5, value, 0, "the sum of three pods")
	t.Log("\n" + s.Kubectl(t, "get", "pods", "--namespace="+ns))
	for _, failed := range failures(t, s, ns) {
		require.True(t, failed.at.Before(settled), failed.message)
	}

	since = r.Mark("over")
	s.Kubelet.SetLoad(ns, 0)
	t.Logf("spec.replicas is 1 after %s, of which the window takes %s s", r.Becomes(t, 1, since, stage.Polled).Round(10*time.Millisecond), stage.ScaleDownWindow)
}
