package stage

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/cache"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/timeline"
)

// lookEvery is how fine a time line is; changes of spec.replicas are noted as
// the API server tells of them.
const lookEvery = 250 * time.Millisecond

// Workload is what a recorder looks at.
type Workload struct {
	Namespace, Name string // of the Deployment and of its ScaledObject
	Unit            string // of load and value
	Load            func() float64
	Value           func(context.Context) (float64, error)
}

// Recorder watches a workload until its play ends, and then prints its time
// line and leaves a picture of it among the artifacts.
type Recorder struct {
	stage    *Stage
	workload Workload
	begin    time.Time

	mu      sync.Mutex // guards what follows
	line    timeline.Line
	changes []change // of spec.replicas, in order
}

type change struct {
	at       time.Time
	replicas int
}

// Record begins a time line.
func (s *Stage) Record(t testing.TB, title string, w Workload) *Recorder {
	t.Helper()
	r := &Recorder{stage: s, workload: w, begin: time.Now(), line: timeline.Line{Title: title, Unit: w.Unit}}
	handler, err := s.informers[Deployments].AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { r.note(o.(*unstructured.Unstructured)) },
		UpdateFunc: func(_, o any) { r.note(o.(*unstructured.Unstructured)) },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var joined sync.WaitGroup
	joined.Go(func() { r.look(ctx) })
	t.Cleanup(func() {
		cancel()
		joined.Wait()
		r.sample(context.Background()) // what the play waited for last
		_ = s.informers[Deployments].RemoveEventHandler(handler)
		r.publish(t)
	})
	return r
}

// note keeps a change of spec.replicas.
func (r *Recorder) note(o *unstructured.Unstructured) {
	if o.GetNamespace() != r.workload.Namespace || o.GetName() != r.workload.Name {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := Number(o, "spec", "replicas")
	if len(r.changes) == 0 || r.changes[len(r.changes)-1].replicas != n {
		r.changes = append(r.changes, change{time.Now(), n})
	}
}

func (r *Recorder) look(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		r.sample(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (r *Recorder) sample(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	w := r.workload
	value, err := w.Value(ctx)
	if err != nil {
		value = math.NaN()
	}
	autoscaler := r.stage.informers.object(Autoscalers, w.Namespace, "keda-hpa-"+w.Name)
	deployment := r.stage.informers.object(Deployments, w.Namespace, w.Name)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.line.Samples = append(r.line.Samples, timeline.Sample{
		At: time.Since(r.begin), Load: w.Load(), Value: value,
		Desired:  Number(autoscaler, "status", "desiredReplicas"),
		Replicas: Number(deployment, "spec", "replicas"),
		Ready:    Number(deployment, "status", "readyReplicas"),
	})
}

// Mark notes what the play does, and returns when.
func (r *Recorder) Mark(format string, args ...any) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.line.Marks = append(r.line.Marks, timeline.Mark{At: now.Sub(r.begin), Text: fmt.Sprintf(format, args...)})
	return now
}

// Becomes waits until spec.replicas is n and returns how long after since it
// came to be.
func (r *Recorder) Becomes(t testing.TB, n int, since time.Time, within time.Duration) time.Duration {
	t.Helper()
	return r.until(t, since, within, func(replicas int) error {
		if replicas != n {
			return fmt.Errorf("spec.replicas is %d, want %d", replicas, n)
		}
		return nil
	})
}

// AtLeast is Becomes for n or more.
func (r *Recorder) AtLeast(t testing.TB, n int, since time.Time, within time.Duration) time.Duration {
	t.Helper()
	return r.until(t, since, within, func(replicas int) error {
		if replicas < n {
			return fmt.Errorf("spec.replicas is %d, want at least %d", replicas, n)
		}
		return nil
	})
}

func (r *Recorder) until(t testing.TB, since time.Time, within time.Duration, check func(replicas int) error) time.Duration {
	t.Helper()
	var at time.Time
	poll.Until(t, within, func(context.Context) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.changes) == 0 {
			return fmt.Errorf("no deployment %s/%s", r.workload.Namespace, r.workload.Name)
		}
		last := r.changes[len(r.changes)-1]
		at = last.at
		return check(last.replicas)
	})
	return max(0, at.Sub(since))
}

// Lowest is the least that spec.replicas was since a moment.
func (r *Recorder) Lowest(since time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	lowest := math.MaxInt
	for i, c := range r.changes {
		if i+1 == len(r.changes) || r.changes[i+1].at.After(since) {
			lowest = min(lowest, c.replicas)
		}
	}
	return lowest
}

func (r *Recorder) publish(t testing.TB) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Log("\n" + r.line.String())
	name := strings.NewReplacer("/", "-", " ", "-", ":", "", ",", "", "'", "").Replace(r.line.Title) + ".svg"
	if err := os.MkdirAll(r.stage.logs, 0o755); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(r.stage.logs, name), r.line.SVG(), 0o644); err != nil {
		t.Error(err)
	}
}
