//go:build linux

package plays

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/stage"
)

const fbopt = "huggingface-fbopt-predictor"

// playOpenTelemetry is the page's third example: KServe makes the trigger and
// the Collectors, which push to us, as often as KServe has it by default and as
// often as the other plays have it.
func playOpenTelemetry(t *testing.T, s *stage.Stage) {
	for _, interval := range []string{"5s", stage.ScrapeInterval} {
		t.Run("scraped every "+interval, func(t *testing.T) {
			s.Scrape(t, interval)
			scraped(t, s, "play-3-"+interval, interval)
		})
	}
}

func scraped(t *testing.T, s *stage.Stage, ns, interval string) {
	s.Namespace(t, ns)
	s.ApplyPage(t, ns, stage.PageOpenTelemetry)
	r := s.Record(t, "play 3: OpenTelemetry, scraped every "+interval, s.InFlight(ns, fbopt))
	object := s.ScaledObject(t, ns, fbopt, map[string]string{"Ready": "True"})
	triggers, _, err := unstructured.NestedSlice(object.Object, "spec", "triggers")
	require.NoError(t, err)
	require.Equal(t, []any{map[string]any{"type": "external", "metadata": map[string]any{
		"scalerAddress": "keda-otel-scaler.keda.svc:4318", "targetValue": "4",
		"metricQuery": `sum(vllm:num_requests_running{namespace="` + ns + `", deployment="huggingface-fbopt-predictor"})`,
	}}}, triggers)
	collector, err := s.Get(t.Context(), stage.Collectors, ns, fbopt)
	require.NoError(t, err)
	config, err := json.Marshal(collector.Object["spec"])
	require.NoError(t, err)
	require.Contains(t, string(config), `"scrape_interval":"`+interval+`"`)
	rendered(t, s, ns, stage.PageOpenTelemetry, stage.ScaledObjects, stage.Collectors)
	s.Pods(t, ns, 1)
	s.Heard(t, ns, fbopt, 1)

	for _, step := range []struct{ load, replicas int }{{9, 3}, {40, 5}} {
		since := r.Mark("load %d", step.load)
		s.Kubelet.SetLoad(ns, step.load)
		t.Logf("%s scrape, load %d: spec.replicas is %d after %s", interval, step.load, step.replicas,
			r.Becomes(t, step.replicas, since, stage.Follows).Round(10*time.Millisecond))
		s.Pods(t, ns, step.replicas)
		s.Heard(t, ns, fbopt, step.replicas)
	}
	s.ScaledObject(t, ns, fbopt, map[string]string{"Ready": "True", "Active": "True"})

	since := r.Mark("load 0")
	s.Kubelet.SetLoad(ns, 0)
	t.Logf("%s scrape, load 0: spec.replicas is 1 after %s, of which the window takes %s s",
		interval, r.Becomes(t, 1, since, stage.Polled).Round(10*time.Millisecond), stage.ScaleDownWindow)
	s.Pods(t, ns, 1)
}
