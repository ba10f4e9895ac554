//go:build linux

package plays

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/binary"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/sandbox"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/stage"
)

const (
	// buildTimeout covers all programs with cold caches.
	buildTimeout = time.Hour
	// follows bounds what takes a few syncs of the HPA, and scrapes on the way.
	follows = 90 * time.Second
	// polled bounds what KEDA notices at its next poll, every 30 seconds.
	polled = 120 * time.Second
)

func TestMain(m *testing.M) {
	os.Exit(sandbox.Main(sandbox.Options{
		Hosts:   stage.Hosts,
		Network: stage.PodNetwork,
		Prepare: func() error {
			ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
			defer cancel()
			return binary.All(ctx)
		},
	}, m.Run))
}

// TestPlay raises one cluster and plays on it, one play after the other:
// `make e2e PLAY=3` is go test -run 'TestPlay/^3'.
func TestPlay(t *testing.T) {
	// As installed from the chart, but for the selectors: the page's prometheus
	// trigger asks for a bare metric, of which every pod has one.
	s := stage.Start(t, "--http-sum-selectors")
	t.Run("1 cpu utilisation", func(t *testing.T) { playCPU(t, s) })
	t.Run("2 prometheus metrics", func(t *testing.T) { playPrometheus(t, s) })
	t.Run("3 opentelemetry", func(t *testing.T) { playOpenTelemetry(t, s) })
	t.Run("4 KServe's own expectation", func(t *testing.T) { playKServesOwn(t, s) })
	t.Run("5 0 to 1 by push", func(t *testing.T) { playPush(t, s) })
	t.Run("6 faults under load", func(t *testing.T) {
		playFaults(t, s)
		playScaleDown(t, s)
	})
	t.Run("7 a fleet", func(t *testing.T) { playFleet(t, s) })
	t.Run("8 installed", func(t *testing.T) { playInstall(t, s) })
}

// namespace gives a play one of its own, which goes with it.
func namespace(t *testing.T, s *stage.Stage, name string) {
	t.Helper()
	s.Kubectl(t, "create", "namespace", name)
	t.Cleanup(func() {
		s.Kubelet.SetLoad(name, 0)
		if _, err := s.Try(context.Background(), "", "delete", "namespace", name, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
}

// apply applies one of the page's InferenceServices, to the letter.
func apply(t *testing.T, s *stage.Stage, namespace string, example int) {
	t.Helper()
	manifest, err := stage.Page(example)
	require.NoError(t, err)
	s.Apply(t, namespace, manifest)
}

// scaledObject waits until a ScaledObject's conditions are as wanted, and
// prints it as the page's reader sees it.
func scaledObject(t *testing.T, s *stage.Stage, namespace, name string, want map[string]string) *unstructured.Unstructured {
	t.Helper()
	var object *unstructured.Unstructured
	poll.Until(t, polled, func(ctx context.Context) (err error) {
		if object, err = s.Get(ctx, stage.ScaledObjects, namespace, name); err != nil {
			return err
		}
		for condition, status := range want {
			if got := stage.Condition(object, condition); got != status {
				return fmt.Errorf("ScaledObject %s/%s: %s is %q, want %q", namespace, name, condition, got, status)
			}
		}
		return nil
	})
	t.Log("\n" + s.Kubectl(t, "get", "scaledobjects", name, "--namespace="+namespace))
	return object
}

// ready waits for so many pods to run.
func ready(t *testing.T, s *stage.Stage, namespace string, n int) {
	t.Helper()
	poll.Until(t, follows, func(context.Context) error {
		if got := len(s.Kubelet.Running(namespace)); got != n {
			return fmt.Errorf("%d pods run in %s, want %d", got, namespace, n)
		}
		return nil
	})
}

// heard waits until so many pods' Collectors push: each scrapes for the first
// time some seconds after its start.
func heard(t *testing.T, s *stage.Stage, namespace, name string, n int) {
	t.Helper()
	explained(t, s, namespace, name, fmt.Sprintf("matches %d live", n))
}

// explained waits until the product explains a ScaledObject with these words.
func explained(t *testing.T, s *stage.Stage, namespace, name, words string) {
	t.Helper()
	poll.Until(t, follows, func(ctx context.Context) error {
		text, err := s.Explain(ctx, namespace, name)
		if err == nil && !matches(text, words) {
			err = fmt.Errorf("want %q in\n%s", words, text)
		}
		return err
	})
}

// inFlight is the page's workload: vLLM's requests, by the product's own word.
func inFlight(s *stage.Stage, namespace, name string) stage.Workload {
	query := fmt.Sprintf("sum(vllm:num_requests_running{namespace=%q})", namespace)
	return stage.Workload{
		Namespace: namespace, Names: []string{name}, Unit: "requests in flight",
		Load:  func() float64 { return float64(s.Kubelet.Load(namespace)) },
		Value: func(ctx context.Context) (float64, error) { return stage.Query(ctx, query) },
	}
}

// cpuSeconds is the workload of KServe's own test.
func cpuSeconds(s *stage.Stage, namespace, name string) stage.Workload {
	query := fmt.Sprintf("sum(process_cpu_seconds_total{namespace=%q})", namespace)
	return stage.Workload{
		Namespace: namespace, Names: []string{name}, Unit: "CPU seconds",
		Load:  func() float64 { return s.Kubelet.CPUSeconds(namespace) },
		Value: func(ctx context.Context) (float64, error) { return stage.Query(ctx, query) },
	}
}

// failure is what KEDA says of a trigger, as kubectl describe shows it.
type failure struct {
	at      time.Time // the last time, in whole seconds
	message string
}

func failures(t *testing.T, s *stage.Stage, namespace string) (all []failure) {
	t.Helper()
	for line := range strings.Lines(s.Kubectl(t, "get", "events", "--namespace="+namespace, "--field-selector=reason=KEDAScalerFailed",
		`--output=jsonpath={range .items[*]}{.lastTimestamp} {.message}{"\n"}{end}`)) {
		stamp, message, _ := strings.Cut(strings.TrimSpace(line), " ")
		at, err := time.Parse(time.RFC3339, stamp)
		require.NoError(t, err, line)
		all = append(all, failure{at, message})
	}
	return all
}

func matches(text, expression string) bool { return regexp.MustCompile(expression).MatchString(text) }
