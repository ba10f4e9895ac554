package stage

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
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

// Workload is what a recorder looks at: a Deployment with its ScaledObject, or
// several of which it keeps the sum.
type Workload struct {
	Namespace string
	Names     []string // of the Deployments and of their ScaledObjects
	Unit      string   // of load and value
	Load      func() float64
	Value     func(context.Context) (float64, error)
}

// Recorder watches a workload until its play ends, and then prints its time
// line and leaves a picture of it among the artifacts.
type Recorder struct {
	stage    *Stage
	workload Workload
	begin    time.Time

	mu       sync.Mutex // guards what follows
	line     timeline.Line
	replicas map[string]int // spec.replicas of each Deployment
	changes  []change       // of spec.replicas, in order
}

// change is one of a Deployment's spec.replicas.
type change struct {
	at       time.Time
	name     string
	replicas int // of that one
	total    int // of all
}

// Record begins a time line.
func (s *Stage) Record(t testing.TB, title string, w Workload) *Recorder {
	t.Helper()
	r := &Recorder{stage: s, workload: w, begin: time.Now(), replicas: map[string]int{}, line: timeline.Line{Title: title, Unit: w.Unit}}
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
	name := o.GetName()
	if o.GetNamespace() != r.workload.Namespace || !slices.Contains(r.workload.Names, name) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := Number(o, "spec", "replicas")
	if before, known := r.replicas[name]; known && before == n {
		return
	}
	r.replicas[name] = n
	total := 0
	for _, each := range r.replicas {
		total += each
	}
	r.changes = append(r.changes, change{time.Now(), name, n, total})
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
	sample := timeline.Sample{At: time.Since(r.begin), Load: w.Load(), Value: value}
	for _, name := range w.Names {
		autoscaler := r.stage.informers.object(Autoscalers, w.Namespace, "keda-hpa-"+name)
		deployment := r.stage.informers.object(Deployments, w.Namespace, name)
		sample.Desired += Number(autoscaler, "status", "desiredReplicas")
		sample.Replicas += Number(deployment, "spec", "replicas")
		sample.Ready += Number(deployment, "status", "readyReplicas")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.line.Samples = append(r.line.Samples, sample)
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
			return fmt.Errorf("no deployment %s/%s", r.workload.Namespace, r.workload.Names)
		}
		last := r.changes[len(r.changes)-1]
		at = last.at
		return check(last.total)
	})
	return max(0, at.Sub(since))
}

// Reached returns when a Deployment was first seen to have n replicas or more,
// and false as long as it was not.
func (r *Recorder) Reached(name string, n int) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.changes {
		if c.name == name && c.replicas >= n {
			return c.at, true
		}
	}
	return time.Time{}, false
}

// Lowest is the least that spec.replicas was since a moment.
func (r *Recorder) Lowest(since time.Time) int { return slices.Min(r.had(since)) }

// Highest is the most.
func (r *Recorder) Highest(since time.Time) int { return slices.Max(r.had(since)) }

// had is what spec.replicas was at a moment and after.
func (r *Recorder) had(since time.Time) (all []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, c := range r.changes {
		if i+1 == len(r.changes) || r.changes[i+1].at.After(since) {
			all = append(all, c.total)
		}
	}
	return all
}

// Stands fails the test as soon as spec.replicas is less than n, and returns
// when it was not for so long.
func (r *Recorder) Stands(t testing.TB, n int, since time.Time, long time.Duration) {
	t.Helper()
	over := time.After(long - time.Since(since))
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		if lowest := r.Lowest(since); lowest < n {
			t.Fatalf("spec.replicas was %d %s after it was %d", lowest, time.Since(since).Round(time.Second), n)
		}
		select {
		case <-over:
			return
		case <-ticker.C:
		}
	}
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
