package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
)

// run builds the service, plays the demo against it and takes all of it down
// again. The end of ctx is the ordinary way out, not an error.
func run(ctx context.Context, o options, screen *screen) error {
	defer screen.close()
	dir, err := os.MkdirTemp("", "keda-otel-scaler-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	screen.note("building ./%s; the first time Go fetches its modules", source)
	var svc *service
	binary, err := buildService(ctx, "..", dir)
	if err == nil {
		svc, err = startService(ctx, binary, newWave(o.wave, o.max, o.target).retention(), func(line string) { screen.note("%s: %s", command, line) })
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	screen.note("%s, pid %d: OTLP/gRPC %s, KEDA %s, HTTP %s, own metrics http://%s/metrics", command,
		svc.pid, svc.addresses["otlp-grpc"], svc.addresses["keda-grpc"], svc.addresses["http"], svc.addresses["telemetry"])

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.duration > 0 {
		// Not a deadline: gRPC would send it along, and the scaler report it missed.
		defer time.AfterFunc(o.duration, cancel).Stop()
	}
	err = play(ctx, o, svc, screen)
	svc.stop()
	screen.note("%s ended with exit code %d", command, svc.exitCode)
	if err == nil && svc.exitCode != 0 {
		err = fmt.Errorf("%s ended with exit code %d, want 0", command, svc.exitCode)
	}
	return err
}

// play is the closed loop: load -> pods -> scaler -> replicas -> pods.
func play(ctx context.Context, o options, svc *service, screen *screen) error {
	client, err := newKEDA(svc.addresses["keda-grpc"], o.target)
	if err != nil {
		return err
	}
	pods := newFleet(svc.addresses["otlp-grpc"], o.target)
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer func() {
		cancel()
		watching.Wait()
		// Nothing to say about pushes that fail now: a Ctrl-C in a terminal
		// reaches the service as well, which may be gone already.
		_ = pods.scale(context.WithoutCancel(ctx), 0)
		client.conn.Close()
	}()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if ctx.Err() == nil {
			screen.note("pod: %v", err)
		}
	}))

	var stream atomic.Pointer[streamMessage]
	watching.Go(func() {
		if err := client.watch(ctx, func(active bool) { stream.Store(heard(active, stream.Load(), pods)) }); err != nil {
			screen.note("%v", err)
		}
	})
	load := newWave(o.wave, o.max, o.target)
	hpa := autoscaler{min: 1, max: o.max, replicas: 1}
	start, before := time.Now(), time.Duration(0)
	second := time.NewTicker(time.Second)
	defer second.Stop()
	// A pod pushes whole seconds after its start. Starting pods half a second
	// past the polls keeps all pushes away from them: a poll never sees some
	// pods' load of this second and other pods' of the last.
	grow := time.After(time.Second / 2)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-svc.ended:
			return nil // run looks at the exit code
		case <-grow:
			if err := pods.scale(ctx, hpa.replicas); err != nil && ctx.Err() == nil {
				return err
			}
			continue
		case <-second.C:
			grow = time.After(time.Second / 2)
		}

		f := frame{elapsed: time.Since(start), sampleAge: -1, stream: stream.Load()}
		f.load = load.load(f.elapsed)
		if load.kills(before, f.elapsed) && len(pods.pods) > 1 {
			screen.note("killed pod %s: no goodbye, so its last value counts until it has missed its pushes, and for %v the scaler answers KEDA no less than before: "+
				"only its metrics may be lost; a new pod takes over", pods.kill(), load.retention())
		}
		before = f.elapsed
		if age, ok := pods.sampleAge(time.Now()); ok {
			f.sampleAge = age
		}
		f.reading, f.hold = client.poll(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if f.hold == nil {
			hpa.observe(f.reading.value, f.reading.target)
		}
		f.desired = hpa.replicas
		if err := pods.scale(ctx, min(len(pods.pods), hpa.replicas)); err != nil && ctx.Err() == nil {
			screen.note("%v", err) // the pod is gone all the same
		}
		pods.spread(f.load)
		for _, p := range pods.pods {
			f.pods = append(f.pods, podState{p.name, p.running.Load(), p.waiting.Load()})
		}
		screen.show(f)
	}
}

// heard times a stream message against the newest push before it. Only "true"
// is timed: an idle model has one pod, so that push is the one that caused it.
// The first message says what was so when the stream opened.
func heard(active bool, last *streamMessage, pods *fleet) *streamMessage {
	message := &streamMessage{active: active}
	if begun := pods.pushes.begun.Load(); active && last != nil && begun != 0 {
		message.latency = time.Duration(time.Now().UnixNano() - begun)
	}
	return message
}
