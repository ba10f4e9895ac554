package overload

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/modelserver"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/sidecar"
)

const (
	senders = 50
	running = "vllm:num_requests_running"
	promise = 50 * time.Millisecond // of KEDA's calls, p99
)

// startGenerator runs this test binary again as a generator, with the least
// priority there is: on a cluster the senders' CPUs are others.
func startGenerator(t *testing.T, l load) (wait func() outcome) {
	t.Helper()
	text, err := json.Marshal(l)
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0])
	// A group of its own: what lowers the priority of all of its threads would lower
	// that of this process too, which asks in KEDA's name.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(os.Environ(), loadVariable+"="+string(text))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	require.NoError(t, cmd.Start())
	return func() (o outcome) {
		t.Helper()
		require.NoError(t, cmd.Wait())
		require.NoError(t, json.Unmarshal([]byte(out.String()), &o), out.String())
		return o
	}
}

// lowestPriority is for a process that has no threads yet but its first ones.
func lowestPriority() { _ = syscall.Setpriority(syscall.PRIO_PGRP, 0, 19) }

// startSidecar runs KServe's Collector beside a model server with a load of 3.
func startSidecar(t *testing.T, s *scaler) {
	t.Helper()
	server := modelserver.Start(t, process.FreeAddress(t), "fbopt")
	server.Set(modelserver.Load{Running: 3})
	sidecar.Start(t, sidecar.Config{
		Pod:    sidecar.Pod{Namespace: "models", Deployment: "fbopt", Name: "pod-0"},
		Target: server.Address(), Endpoint: s.otlp, MetricNames: []string{running},
	})
}

// samples returns the times of the sidecar's samples that are held.
func (s *scaler) samples(ctx context.Context) (times []time.Time, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.http+"/api/v1/query?query="+url.QueryEscape(running+`{namespace="models"}[2m]`), nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Data struct {
			Result []struct{ Values [][2]any }
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	for _, series := range answer.Data.Result {
		for _, v := range series.Values {
			times = append(times, time.UnixMilli(int64(v[0].(float64)*1000)))
		}
	}
	return times, nil
}

// requireNothingLost wants a sample of every scrape from then until now.
func (s *scaler) requireNothingLost(t *testing.T, since time.Time) {
	t.Helper()
	until := time.Now()
	poll.Until(t, 90*time.Second, func(ctx context.Context) error {
		times, err := s.samples(ctx)
		if err != nil {
			return err
		}
		before := since
		for _, at := range times {
			if at.Before(before) {
				continue
			}
			// A busy machine scrapes late, and one scrape does not wait for another.
			if gap := at.Sub(before); gap > 2*sidecar.ScrapeInterval-100*time.Millisecond {
				return fmt.Errorf("nothing for %s from %s on", gap, before.Sub(since))
			}
			before = at
		}
		if before.Before(until) {
			return fmt.Errorf("nothing newer than %s ago", time.Since(before))
		}
		return nil
	})
}

// appears waits for the sidecar's first sample, and returns when that was.
func (s *scaler) appears(t *testing.T) (first time.Time) {
	t.Helper()
	poll.Until(t, 45*time.Second, func(ctx context.Context) error {
		times, err := s.samples(ctx)
		if err == nil && len(times) == 0 {
			err = fmt.Errorf("no %s yet", running)
		}
		if err == nil {
			first = times[len(times)-1]
		}
		return err
	})
	return first
}

// TestARefusedCollectorLosesNothing: it has its queue, and the refusal tells it
// to come again.
func TestARefusedCollectorLosesNothing(t *testing.T) {
	s := startScaler(t, "GOMEMLIMIT=256MiB", "--max-inflight-bytes=32768")
	startSidecar(t, s)
	first := s.appears(t)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second) // which its own retry interval is longer than
	defer cancel()
	for range 2 { // take all the room
		_, err := s.conn(t, s.otlp).NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, exportMethod)
		require.NoError(t, err)
	}
	<-ctx.Done()
	require.NotZero(t, s.metric(t, `keda_otel_scaler_otlp_requests_refused_total{reason="in_flight"}`))
	s.requireNothingLost(t, first)
}

// TestTwiceWhatCanBeTaken is the promise about overload. How long it lasts is
// -overload's; the bar of KEDA's calls is for a machine of one's own.
func TestTwiceWhatCanBeTaken(t *testing.T) {
	s := startScaler(t, "GOMEMLIMIT=512MiB")
	l := load{Address: s.otlp, Connections: senders, Pods: 50, InFlight: 2, Packed: true, For: 2 * time.Second}
	startGenerator(t, l)() // what comes for the first time costs a multiple
	before := s.cpu(t)
	known := startGenerator(t, l)()
	require.NotZero(t, known.Accepted)
	each := (s.cpu(t) - before) / time.Duration(known.Accepted)
	most := float64(runtime.NumCPU()) / each.Seconds()
	startSidecar(t, s)
	first := s.appears(t)

	l.PerSecond, l.InFlight, l.For = 2*most, 100, *loadFor
	wait := startGenerator(t, l)
	took := s.ask(t, *loadFor-time.Second)
	o := wait()
	t.Logf("a request of 1000 points takes %s of a core, so %d take %.0f a second; offered %.0f, accepted %.0f, refused %.0f, not sent for want of an answer %.0f",
		each, runtime.NumCPU(), most, l.PerSecond, o.each(o.Accepted, l), o.each(o.Refused, l), o.each(o.Late, l))
	t.Logf("KEDA's %d calls: p50 %s, p90 %s, p99 %s, slowest %s; memory at its peak %d MiB",
		len(took), quantile(took, 0.5), quantile(took, 0.9), quantile(took, 0.99), quantile(took, 1), s.peakMiB(t))
	require.NotZero(t, o.Accepted)
	require.Zero(t, o.WithoutRetry, "a Collector drops what is refused without RetryInfo")
	for why := range o.Errors { // a sender with the least priority runs out of patience, or takes too long to say hello
		require.Regexp(t, codes.DeadlineExceeded.String()+"|"+codes.Unavailable.String(), why)
	}
	require.Less(t, s.peakMiB(t), 512*5/4)
	s.requireNothingLost(t, first)
	if *loadFor >= time.Minute {
		require.Less(t, quantile(took, 0.99), promise)
	}
}
