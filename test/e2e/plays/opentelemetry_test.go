//go:build linux

package plays

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/stage"
)

const fbopt = "huggingface-fbopt-predictor"

// playOpenTelemetry is the page's third example: KServe makes the trigger and
// the Collectors, which push to us.
func playOpenTelemetry(t *testing.T, s *stage.Stage) {
	const ns = "play-3"
	namespace(t, s, ns)
	apply(t, s, ns, stage.PageOpenTelemetry)
	r := s.Record(t, "play 3: OpenTelemetry", inFlight(s, ns, fbopt))
	object := scaledObject(t, s, ns, fbopt, map[string]string{"Ready": "True"})
	triggers, _, err := unstructured.NestedSlice(object.Object, "spec", "triggers")
	require.NoError(t, err)
	require.Equal(t, []any{map[string]any{"type": "external", "metadata": map[string]any{
		"scalerAddress": "keda-otel-scaler.keda.svc:4318", "targetValue": "4",
		"metricQuery": `sum(vllm:num_requests_running{namespace="play-3", deployment="huggingface-fbopt-predictor"})`,
	}}}, triggers)
	ready(t, s, ns, 1)

	for _, step := range []struct{ load, replicas int }{{9, 3}, {40, 5}} {
		since := r.Mark("load %d", step.load)
		s.Kubelet.SetLoad(ns, step.load)
		t.Logf("load %d: spec.replicas is %d after %s", step.load, step.replicas,
			r.Becomes(t, step.replicas, since, follows).Round(10*time.Millisecond))
		ready(t, s, ns, step.replicas)
	}
	scaledObject(t, s, ns, fbopt, map[string]string{"Ready": "True", "Active": "True"})

	since := r.Mark("load 0")
	s.Kubelet.SetLoad(ns, 0)
	t.Logf("load 0: spec.replicas is 1 after %s, of which the window takes %s s",
		r.Becomes(t, 1, since, polled).Round(10*time.Millisecond), stage.ScaleDownWindow)
	ready(t, s, ns, 1)
}
