//go:build linux

package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/sandbox"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/stage"
)

const (
	// shows is how long a wrong value takes to cost a replica: a series is late after
	// 2 s, the HPA looks back 15 s and syncs every 2 s.
	shows = 40 * time.Second
	// started is shows after the product's start: its warm-up comes first.
	started = stage.WarmUp + shows

	down        = 10 * time.Second // of the network
	restarts    = 20
	shortMemory = "--retention=30s"
	outage      = 40 * time.Second // longer than that

	hangs      = 3 * time.Minute // every model server's /metrics
	longMemory = "--retention=5m"
)

// faults is the page's third example with 16 requests in flight on a target of
// 4, to which something happens: as long as the load stands, so do 4 replicas.
type faults struct {
	s  *stage.Stage
	r  *stage.Recorder
	ns string
}

const (
	under, wanted = 16, 4
	fbopt         = "huggingface-fbopt-predictor"
)

func TestMain(m *testing.M) { os.Exit(stage.Main(m)) }

// TestFaults is a play that others need not wait for: its stage is its own.
func TestFaults(t *testing.T) {
	s := stage.Start(t)
	t.Run("6 faults under load", func(t *testing.T) {
		playFaults(t, s)
		playScaleDown(t, s)
	})
}

func playFaults(t *testing.T, s *stage.Stage) {
	const ns = "play-6"
	s.Namespace(t, ns)
	s.Scrape(t, stage.ScrapeInterval)
	s.ApplyPage(t, ns, stage.PageOpenTelemetry)
	f := faults{s, s.Record(t, "play 6: faults under load", s.InFlight(ns, fbopt)), ns}
	s.Pods(t, ns, 1)
	f.r.Becomes(t, wanted, s.Kubelet.SetLoad(ns, under), stage.Polled)
	s.Pods(t, ns, wanted)
	s.ScaledObject(t, ns, fbopt, map[string]string{"Ready": "True", "Active": "True"})

	for _, fault := range []struct {
		name    string
		happens func(*testing.T, time.Time)
	}{
		{"every Collector killed", func(t *testing.T, since time.Time) { f.kill(t, since, wanted) }},
		{"half of the Collectors killed", func(t *testing.T, since time.Time) { f.kill(t, since, wanted/2) }},
		{"scaler killed 20 times", f.killScaler},
		{"scaler with a snapshot killed 20 times", f.killScalerWithSnapshot},
		{"network down", f.network},
		{"KEDA restarted", f.restartKEDA},
		{"API server restarted", f.restartAPIServer},
		{"scaler away for longer than the retention", f.away},
		{"every pod's metrics hang", f.hang},
	} {
		t.Run(fault.name, func(t *testing.T) {
			f.settled(t)
			fault.happens(t, f.r.Mark("%s", fault.name))
		})
	}

	since := f.r.Mark("load 0")
	s.Kubelet.SetLoad(ns, 0)
	t.Logf("after all that and load 0, spec.replicas is 1 after %s", f.r.Becomes(t, 1, since, stage.Polled).Round(10*time.Millisecond))
}

// settled waits until every pod has been heard of for some seconds on end, so
// that the last fault is over before the next one comes.
func (f faults) settled(t *testing.T) {
	t.Helper()
	f.s.Heard(t, f.ns, fbopt, wanted)
	const fewest = 5
	poll.Until(t, stage.Follows, func(ctx context.Context) error {
		n, err := stage.Query(ctx, fmt.Sprintf("min(count_over_time(vllm:num_requests_running{namespace=%q}[10s]))", f.ns))
		if err == nil && n < fewest {
			err = fmt.Errorf("a pod was heard of %v times within 10 s", n)
		}
		return err
	})
	f.s.Explains(t, f.ns, fbopt, fmt.Sprintf(`now +%d \(value\)`, under))
}

func (f faults) kill(t *testing.T, since time.Time, n int) {
	pods := f.s.Kubelet.Running(f.ns)[:n]
	for _, p := range pods {
		f.s.Kubelet.KillCollector(p)
	}
	defer func() {
		for _, p := range pods {
			f.s.Kubelet.StartCollector(p)
		}
	}()
	f.s.Explains(t, f.ns, fbopt, fmt.Sprintf("matches %d live, %d late", wanted-n, n))
	f.r.Stands(t, wanted, since, shows)
}

// killScaler loses everything, 20 times, each as soon as it is of use again.
func (f faults) killScaler(t *testing.T, since time.Time) {
	for range restarts {
		f.s.Product.Kill(t)
		f.s.Product.Start()
		f.s.Product.Wait(t)
	}
	f.r.Stands(t, wanted, since, time.Since(since)+started)
}

// killScalerWithSnapshot loses nothing, 20 times: it has the value before a warm-up
// would be over.
func (f faults) killScalerWithSnapshot(t *testing.T, _ time.Time) {
	path := filepath.Join(t.TempDir(), "snapshot")
	again := func() {
		f.s.Product.Kill(t)
		f.s.Product.Start("--snapshot-path="+path, "--snapshot-interval=1s")
		f.s.Product.Wait(t)
	}
	again()
	poll.Until(t, started, func(context.Context) error { // its first warm-up writes none
		_, err := os.Stat(path)
		return err
	})
	since := f.r.Mark("with a snapshot")
	for range restarts {
		began := time.Now()
		again()
		f.s.Explains(t, f.ns, fbopt, fmt.Sprintf(`now +%d \(`, under))
		require.Less(t, time.Since(began), started-shows, "it waits for a warm-up")
	}
	f.r.Stands(t, wanted, since, time.Since(since)+shows)
}

func (f faults) network(t *testing.T, since time.Time) {
	require.NoError(t, sandbox.SetLoopback(false))
	f.r.Stands(t, wanted, since, down)
	require.NoError(t, sandbox.SetLoopback(true))
	f.r.Stands(t, wanted, since, down+shows)
}

func (f faults) restartKEDA(t *testing.T, since time.Time) {
	for _, p := range []*stage.Program{f.s.KEDA, f.s.Adapter} {
		p.Kill(t)
		p.Start()
	}
	f.s.KEDA.Wait(t)
	f.s.Adapter.Wait(t)
	f.r.Stands(t, wanted, since, shows)
}

func (f faults) restartAPIServer(t *testing.T, since time.Time) {
	f.s.APIServer.Kill(t)
	f.s.APIServer.Start()
	f.s.APIServer.Wait(t)
	f.r.Stands(t, wanted, since, shows)
}

// away has the scaler come back when it would have forgotten everything anyway.
func (f faults) away(t *testing.T, since time.Time) {
	f.s.Product.Kill(t)
	f.r.Stands(t, wanted, since, outage)
	f.s.Product.Start(shortMemory)
	f.s.Product.Wait(t)
	f.r.Stands(t, wanted, since, outage+started)
}

// hang has every model server under load answer no scrape, for less than the
// retention: the Collectors end all series, as if the pods had stopped.
func (f faults) hang(t *testing.T, _ time.Time) {
	f.s.Product.Kill(t)
	f.s.Product.Start(longMemory)
	f.s.Product.Wait(t)
	f.settled(t)
	since := f.r.Mark("metrics hang")
	f.s.Kubelet.Hang(f.ns, true)
	defer f.s.Kubelet.Hang(f.ns, false)
	f.s.Explains(t, f.ns, fbopt, fmt.Sprintf(`now +%d \(partial_loss\)`, under))
	f.r.Stands(t, wanted, since, hangs)
	f.s.Kubelet.Hang(f.ns, false)
	f.r.Stands(t, wanted, since, hangs+shows)
	f.settled(t)
}

// playScaleDown is the opposite of a fault: pods that a real scale-down deletes
// are out of the sum within three scrapes.
func playScaleDown(t *testing.T, s *stage.Stage) {
	const ns, scrape = "play-6-down", 5 * time.Second
	s.Namespace(t, ns)
	s.Scrape(t, "5s")
	s.ApplyPage(t, ns, stage.PageOpenTelemetry)
	r := s.Record(t, "play 6: a real scale-down", s.InFlight(ns, fbopt))
	s.Pods(t, ns, 1)
	r.Becomes(t, wanted, s.Kubelet.SetLoad(ns, under), stage.Polled)
	s.Pods(t, ns, wanted)
	s.Heard(t, ns, fbopt, wanted)

	const less, fewer = 6, 2
	r.Mark("load %d", less)
	r.Becomes(t, fewer, s.Kubelet.SetLoad(ns, less), stage.Polled)
	since := r.Mark("%d pods deleted", wanted-fewer)
	// Their Collectors end with them. A series is late then, or ended, if a scrape failed
	// between the end of the model server and that of its Collector.
	s.Explains(t, ns, fbopt, `matches \d live, (?:[23] late|1 late, [12] ended|0 late, [23] ended)`)
	took := time.Since(since)
	t.Logf("deleted pods are out of the sum after %s", took.Round(10*time.Millisecond))
	require.Less(t, took, 3*scrape+5*time.Second)
	// Until then the load was counted where it was and where it went, for which
	// the HPA may have added a replica.
	r.Becomes(t, fewer, since, stage.Polled)
	since = time.Now()
	s.Explains(t, ns, fbopt, fmt.Sprintf(`now +%d \(`, less))
	r.Stands(t, fewer, since, shows)
	require.Equal(t, fewer, r.Highest(since))
}
