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

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/stage"
)

func TestMain(m *testing.M) { os.Exit(stage.Main(m)) }

// TestPlay raises one cluster and plays on it, one play after the other:
// `make e2e PLAY=3` is go test -run 'TestPlay/^3'. Play 6 is in package faults.
func TestPlay(t *testing.T) {
	// As installed from the chart, but for the selectors: the page's prometheus
	// trigger asks for a bare metric, of which every pod has one.
	s := stage.Start(t, "--http-sum-selectors")
	t.Run("1 cpu utilisation", func(t *testing.T) { playCPU(t, s) })
	t.Run("2 prometheus metrics", func(t *testing.T) { playPrometheus(t, s) })
	t.Run("3 opentelemetry", func(t *testing.T) { playOpenTelemetry(t, s) })
	t.Run("4 KServe's own expectation", func(t *testing.T) { playKServesOwn(t, s) })
	t.Run("5 0 to 1 by push", func(t *testing.T) { playPush(t, s) })
	t.Run("7 a fleet", func(t *testing.T) { playFleet(t, s) })
	t.Run("8 installed", func(t *testing.T) { playInstall(t, s) })
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
