//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
)

var crashes = flag.Int("crashes", 12, "how often TestCrashes ends the program")

const (
	crashPods   = 8
	crashFiller = 20_000                  // series that make a snapshot take a while
	crashPush   = 200 * time.Millisecond  // between two pushes of a pod
	crashWarmUp = 1500 * time.Millisecond // ample for a pod to come back
	crashStart  = 2 * time.Second
	crashWait   = 30 * time.Second
)

// victim is the program, killed and started again on the same addresses and file.
type victim struct {
	t                *testing.T
	binary, snapshot string
	flags            []string
	otlp, keda       string
	process          *exec.Cmd

	up     atomic.Int32 // how often it was started
	starts []time.Duration
}

func newVictim(t *testing.T) *victim {
	v := &victim{t: t, snapshot: filepath.Join(t.TempDir(), "snapshot"), binary: build(t), otlp: freeAddress(t), keda: freeAddress(t)}
	v.flags = []string{
		"--otlp-grpc-address=" + v.otlp, "--keda-address=" + v.keda, "--otlp-http-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--telemetry-address=127.0.0.1:0",
		"--snapshot-path=" + v.snapshot, "--snapshot-interval=100ms", "--warm-up=" + crashWarmUp.String(),
	}
	return v
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// start returns when it serves, or with wait false at once.
func (v *victim) start(wait bool) (found string) {
	v.t.Helper()
	v.process = exec.CommandContext(v.t.Context(), v.binary, v.flags...)
	stderr, err := v.process.StderrPipe()
	require.NoError(v.t, err)
	began := time.Now()
	require.NoError(v.t, v.process.Start())
	v.up.Add(1)
	listening, said := make(chan struct{}), make(chan string, 1)
	go func() { // until it is dead
		left := 5
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			switch line := lines.Text(); {
			case strings.Contains(line, "msg=listening"):
				if left--; left == 0 {
					close(listening)
				}
			case strings.Contains(line, "snapshot"):
				select {
				case said <- line:
				default:
				}
			case strings.Contains(line, "panic"):
				v.t.Errorf("it says %s", line)
			}
		}
	}()
	if !wait {
		return ""
	}
	select {
	case <-listening:
		v.starts = append(v.starts, time.Since(began))
	case <-time.After(crashWait):
		v.t.Fatal("it does not start")
	}
	return <-said
}

func (v *victim) end(how os.Signal) {
	v.t.Helper()
	require.NoError(v.t, v.process.Process.Signal(how))
	_ = v.process.Wait() // killed
}

// dial connects as a Collector does, but does not wait for a minute.
func (v *victim) dial(address string) *grpc.ClientConn {
	v.t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(grpc.ConnectParams{
		Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.2, MaxDelay: 100 * time.Millisecond}, MinConnectTimeout: time.Second,
	}))
	require.NoError(v.t, err)
	v.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// sender is a pod. After a restart it takes a while to come back.
type sender struct {
	name string
	otlp pmetricotlp.GRPCClient
	load atomic.Int64
	seen int32 // the start of the victim that it has come back to
	rest time.Time
}

func (s *sender) run(ctx context.Context, v *victim) {
	tick := time.NewTicker(crashPush)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if up := v.up.Load(); up != s.seen {
			s.seen, s.rest = up, time.Now().Add(rand.N(600*time.Millisecond))
		}
		if load := s.load.Load(); load > 0 && time.Now().After(s.rest) {
			call, cancel := context.WithTimeout(ctx, time.Second)
			_ = s.push(call, load, 1) // it may be dead
			cancel()
		}
	}
}

// push sends so many series of one load.
func (s *sender) push(ctx context.Context, load int64, series int) error {
	md := pmetric.NewMetrics()
	scope := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	m := scope.Metrics().AppendEmpty()
	m.SetName("load")
	points := m.SetEmptyGauge().DataPoints()
	for i := range series {
		p := points.AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		p.SetIntValue(load)
		p.Attributes().PutStr("pod", s.name)
		p.Attributes().PutInt("n", int64(i))
	}
	_, err := s.otlp.Export(ctx, pmetricotlp.NewExportRequestFromMetrics(md))
	return err
}

// asker asks as KEDA does, all the time, and must never be told less than the truth.
type asker struct {
	keda          pb.ExternalScalerClient
	truth         atomic.Int64
	values, holds atomic.Int64
	last          atomic.Int64
}

func (a *asker) run(ctx context.Context, v *victim) {
	ref := &pb.ScaledObjectRef{Namespace: "default", Name: "model", ScalerMetadata: map[string]string{"metricQuery": `sum(load{pod!="filler"})`, "targetValue": "1"}}
	for ctx.Err() == nil {
		truth, started := a.truth.Load(), v.up.Load()
		call, cancel := context.WithTimeout(ctx, time.Second)
		got, err := a.keda.GetMetrics(call, &pb.GetMetricsRequest{ScaledObjectRef: ref})
		active, activeErr := a.keda.IsActive(call, ref)
		cancel()
		truth = min(truth, a.truth.Load())
		if err != nil {
			a.holds.Add(1)
		} else {
			value := int64(got.GetMetricValues()[0].GetMetricValueFloat())
			a.values.Add(1)
			a.last.Store(value)
			if value < truth {
				v.t.Errorf("start %d: told %d, and the truth is %d", started, value, truth)
			}
		}
		if activeErr == nil && !active.GetResult() && truth > 0 {
			v.t.Errorf("start %d: told inactive, and the truth is %d", started, truth)
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// eventually waits for what other processes do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(crashWait); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never comes to that: %s", what)
		}
	}
}

// snapshots waits for so many to be written from now on.
func (v *victim) snapshots(n int) {
	v.t.Helper()
	var last os.FileInfo
	for seen := -1; seen < n; seen++ {
		eventually(v.t, "a snapshot is written", func() bool {
			info, err := os.Stat(v.snapshot)
			if err != nil || last != nil && os.SameFile(info, last) && info.ModTime().Equal(last.ModTime()) {
				return false
			}
			last = info
			return true
		})
	}
}

// TestCrashes kills the program at random moments (in the middle of a write, of a
// restore, of a warm-up), damages its file, and never sees it answer less than
// what was pushed before the last snapshot, while pods push and KEDA asks.
func TestCrashes(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary, and takes seconds")
	}
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any will do
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	v := newVictim(t)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()

	v.start(true)
	var pods []*sender
	for i := range crashPods {
		s := &sender{name: fmt.Sprint("pod-", i), otlp: pmetricotlp.NewGRPCClient(v.dial(v.otlp)), seen: 1}
		pods = append(pods, s)
		all.Go(func() { s.run(ctx, v) })
	}
	filler := &sender{name: "filler", otlp: pods[0].otlp}
	require.NoError(t, filler.push(ctx, 1, crashFiller))
	a := &asker{keda: pb.NewExternalScalerClient(v.dial(v.keda))}
	for i := range crashPods / 2 {
		pods[i].load.Store(int64(1 + i))
	}
	all.Go(func() { a.run(ctx, v) })

	// settle waits until all there is was pushed, told and kept.
	settle := func() {
		t.Helper()
		sum := int64(0)
		for _, p := range pods {
			sum += p.load.Load()
		}
		if sum < a.truth.Load() {
			a.truth.Store(sum)
		}
		eventually(t, fmt.Sprintf("told %d", sum), func() bool { return a.last.Load() == sum })
		v.snapshots(2)
		a.truth.Store(sum)
	}
	settle()
	did := map[string]int{}
	// After a damage comes a death in the warm-up that it has brought about.
	ways := []string{"settled", "in a write", "cut off", "whenever", "in a start", "changed", "in a row", "SIGTERM"}
	for round := range *crashes {
		way := ways[round%len(ways)]
		did[way]++
		switch way {
		case "settled":
			p := pods[rnd.IntN(len(pods))]
			p.load.Store(1 + rnd.Int64N(100))
			settle()
		case "in a write":
			v.snapshots(0)
			eventually(t, "a snapshot is being written", func() bool { _, err := os.Stat(v.snapshot + ".tmp"); return err == nil })
		case "in a start":
			v.end(syscall.SIGKILL)
			v.start(false)
			<-time.After(rand.N(100 * time.Millisecond))
		default:
			<-time.After(rand.N(time.Second))
		}
		how := syscall.SIGKILL
		if way == "SIGTERM" {
			how = syscall.SIGTERM
		}
		v.end(how)
		if _, err := os.Stat(v.snapshot + ".tmp"); err == nil {
			did["left a file half written"]++
		}
		damaged := way == "cut off" || way == "changed"
		if damaged {
			v.damage(way, rnd)
		}
		holds, values := a.holds.Load(), a.values.Load()
		found := v.start(true)
		switch {
		case strings.Contains(found, "no snapshot to restore"): // it was killed in the warm-up after a damage
			did["nothing to restore"]++
		case damaged:
			require.Contains(t, found, "could not restore")
			eventually(t, "holds", func() bool { return a.holds.Load() > holds })
		default:
			require.Contains(t, found, "restored a snapshot")
			if way == "settled" {
				eventually(t, "values", func() bool { return a.values.Load() > values })
			}
		}
		if damaged && rnd.IntN(2) == 0 {
			settle()
		}
	}
	settle()
	cancel()
	all.Wait()
	slices.Sort(v.starts)
	worst, median := v.starts[len(v.starts)-1], v.starts[len(v.starts)/2]
	t.Logf("%v; %d values, %d errors; start: median %s, worst %s", did, a.values.Load(), a.holds.Load(), median, worst)
	require.Less(t, median, crashStart)
	require.Positive(t, did["left a file half written"]+max(0, 24-*crashes), "none was killed in the middle of a write")
}

// damage does to the file what a disk might.
func (v *victim) damage(way string, rnd *rand.Rand) {
	v.t.Helper()
	b, err := os.ReadFile(v.snapshot)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	require.NoError(v.t, err)
	if way == "cut off" {
		b = b[:rnd.IntN(len(b))]
	} else {
		b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
	}
	require.NoError(v.t, os.WriteFile(v.snapshot, b, 0o600))
}
