//go:build linux

package stage

import (
	"context"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/binary"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/sandbox"
)

const (
	// Follows bounds what takes a few syncs of the HPA, and scrapes on the way.
	Follows = 90 * time.Second
	// Polled bounds what KEDA notices at its next poll, every 30 seconds.
	Polled = 120 * time.Second
	// buildTimeout covers all programs with cold caches.
	buildTimeout = time.Hour
)

// Main is for TestMain: it runs the tests where a stage can be.
func Main(m *testing.M) int {
	return sandbox.Main(sandbox.Options{
		Hosts:   hosts,
		Network: podNetwork,
		Prepare: func() error {
			ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
			defer cancel()
			return binary.All(ctx)
		},
	}, m.Run)
}

// Namespace gives a play one of its own, which goes with it.
func (s *Stage) Namespace(t *testing.T, name string) {
	t.Helper()
	s.Kubectl(t, "create", "namespace", name)
	t.Cleanup(func() {
		s.Kubelet.SetLoad(name, 0)
		if _, err := s.Try(context.Background(), "", "delete", "namespace", name, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
}

// ApplyPage applies one of the page's InferenceServices, to the letter.
func (s *Stage) ApplyPage(t *testing.T, namespace string, example int) {
	t.Helper()
	manifest, err := Page(example)
	require.NoError(t, err)
	s.Apply(t, namespace, manifest)
}

// ScaledObject waits until a ScaledObject's conditions are as wanted, and
// prints it as the page's reader sees it.
func (s *Stage) ScaledObject(t *testing.T, namespace, name string, want map[string]string) *unstructured.Unstructured {
	t.Helper()
	var object *unstructured.Unstructured
	poll.Until(t, Polled, func(ctx context.Context) (err error) {
		if object, err = s.Get(ctx, ScaledObjects, namespace, name); err != nil {
			return err
		}
		for condition, status := range want {
			if got := Condition(object, condition); got != status {
				return fmt.Errorf("ScaledObject %s/%s: %s is %q, want %q", namespace, name, condition, got, status)
			}
		}
		return nil
	})
	t.Log("\n" + s.Kubectl(t, "get", "scaledobjects", name, "--namespace="+namespace))
	return object
}

// Pods waits for so many to run.
func (s *Stage) Pods(t *testing.T, namespace string, n int) {
	t.Helper()
	poll.Until(t, Follows, func(context.Context) error {
		if got := len(s.Kubelet.Running(namespace)); got != n {
			return fmt.Errorf("%d pods run in %s, want %d", got, namespace, n)
		}
		return nil
	})
}

// Heard waits until so many pods' Collectors push: each scrapes for the first
// time some seconds after its start.
func (s *Stage) Heard(t *testing.T, namespace, name string, n int) {
	t.Helper()
	s.Explains(t, namespace, name, fmt.Sprintf("matches %d live", n))
}

// Explains waits until the product explains a ScaledObject with what matches this
// expression.
func (s *Stage) Explains(t *testing.T, namespace, name, expression string) {
	t.Helper()
	poll.Until(t, Follows, func(ctx context.Context) error {
		text, err := s.Explain(ctx, namespace, name)
		if err == nil && !regexp.MustCompile(expression).MatchString(text) {
			err = fmt.Errorf("want %q in\n%s", expression, text)
		}
		return err
	})
}

// InFlight is the page's workload: vLLM's requests, by the product's own word.
func (s *Stage) InFlight(namespace, name string) Workload {
	query := fmt.Sprintf("sum(vllm:num_requests_running{namespace=%q})", namespace)
	return Workload{
		Namespace: namespace, Names: []string{name}, Unit: "requests in flight",
		Load:  func() float64 { return float64(s.Kubelet.Load(namespace)) },
		Value: func(ctx context.Context) (float64, error) { return Query(ctx, query) },
	}
}
