//go:build linux

package plays

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/stage"
)

// playCPU is the page's first example, in which we are not asked: it has to go
// on working beside us.
func playCPU(t *testing.T, s *stage.Stage) {
	const ns, name = "play-1", "sklearn-v2-iris-predictor"
	s.Namespace(t, ns)
	s.CPU.Set(ns, 100)
	s.ApplyPage(t, ns, stage.PageCPU)
	r := s.Record(t, "play 1: CPU utilisation", stage.Workload{
		Namespace: ns, Names: []string{name}, Unit: "thousandths of a core",
		Load:  func() float64 { return float64(s.CPU.Of(ns)) },
		Value: func(context.Context) (float64, error) { return 0, errors.New("nobody asks us") },
	})
	object := s.ScaledObject(t, ns, name, map[string]string{"Ready": "True"})
	triggers, _, err := unstructured.NestedSlice(object.Object, "spec", "triggers")
	require.NoError(t, err)
	require.Equal(t, []any{map[string]any{
		"type": "cpu", "metricType": "Utilization", "metadata": map[string]any{"value": "50"},
	}}, triggers)
	rendered(t, s, ns, stage.PageCPU, stage.ScaledObjects)
	s.Pods(t, ns, 1)

	// One pod asks for one core: 1.4 cores of work are 140 % of it, and the
	// target is 50 %.
	since := r.Mark("1.4 cores of work")
	s.CPU.Set(ns, 1400)
	t.Logf("spec.replicas is 3 after %s", r.Becomes(t, 3, since, stage.Follows))
	poll.Until(t, stage.Follows, func(ctx context.Context) error {
		line, err := s.Try(ctx, "", "get", "hpa", "keda-hpa-"+name, "--namespace="+ns)
		if err == nil && !matches(line, `cpu: 4[67]%/50%`) {
			err = errors.New(line)
		}
		return err
	})
	t.Log("\n" + s.Kubectl(t, "get", "hpa", "--namespace="+ns))

	since = r.Mark("0.1 cores of work")
	s.CPU.Set(ns, 100)
	t.Logf("spec.replicas is 1 again after %s", r.Becomes(t, 1, since, stage.Polled))
}
