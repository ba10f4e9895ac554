package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// fleet is the Deployment: it keeps as many pods as it is told to and deals
// the load out to them. One goroutine, the loop's, calls it.
type fleet struct {
	endpoint string // the scaler's OTLP/gRPC address
	capacity int    // requests one pod runs at once; the rest of its share waits
	pushes   pushClock
	pods     []*pod
}

// newFleet gives a pod twice the target to run: when pods are missing, the
// metric still shows it, and above that the queue does.
func newFleet(endpoint string, target float64) *fleet {
	return &fleet{endpoint: endpoint, capacity: max(1, int(math.Ceil(2*target)))}
}

// scale starts or stops pods until there are n.
func (f *fleet) scale(ctx context.Context, n int) error {
	for len(f.pods) < n {
		p, err := startPod(ctx, podName(), f.endpoint, &f.pushes)
		if err != nil {
			return fmt.Errorf("starting a stand-in pod: %w", err)
		}
		f.pods = append(f.pods, p)
	}
	leaving := f.pods[n:]
	f.pods = f.pods[:n:n]

	// Together, because one that cannot reach the scaler takes its time.
	errs := make([]error, len(leaving))
	var wait sync.WaitGroup
	for i, p := range leaving {
		wait.Go(func() { errs[i] = p.stop(ctx) })
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stopping stand-in pods: %w", err)
	}
	return nil
}

// spread deals load requests out to the pods for one second.
func (f *fleet) spread(load int) {
	for i, p := range f.pods {
		part := share(load, i, len(f.pods))
		running := min(part, f.capacity)
		p.serve(running, part-running)
	}
}

// kill ends the oldest pod without a word to the scaler and returns its name.
func (f *fleet) kill() string {
	victim := f.pods[0]
	f.pods = f.pods[1:]
	victim.kill()
	return victim.name
}

// sampleAge is how old the newest accepted sample is; false before the first.
func (f *fleet) sampleAge(now time.Time) (time.Duration, bool) {
	landed := f.pushes.landed.Load()
	return time.Duration(now.UnixNano() - landed), landed != 0
}

// podName looks like the name a ReplicaSet would give.
func podName() string {
	const safe = "bcdfghjklmnpqrstvwxz2456789" // what Kubernetes draws from
	suffix := make([]byte, 5)
	for i := range suffix {
		suffix[i] = safe[rand.IntN(len(safe))]
	}
	return deployment + "-58f9c58b85-" + string(suffix)
}
