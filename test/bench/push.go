package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/payload"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/report"
)

const pushMethod = "From the start of the Export call that changes a ScaledObject's activity to the message on its StreamIsActive\n" +
	"stream, as a client sees both. Meanwhile every other ScaledObject has a stream open too, over the same connection,\n" +
	"and gateway requests for all of their pods come in at a steady pace over connections of their own. Client and server\n" +
	"share the machine's cores."

const (
	pushSection = "Push"
	flipLimit   = 10 * time.Second // for one message
	leastPause  = 10 * time.Millisecond
	mostPause   = 30 * time.Millisecond
)

func (b *bench) push(ctx context.Context) ([]report.Row, error) {
	// The last deployment is the one that flips; the others stay busy.
	pods := payload.Fleet(b.streams, 1)
	busy, flipped := pods[:len(pods)-1], pods[len(pods)-1:]
	background, err := payload.Requests(busy, payload.ModelServer, podsPerGateway, payload.Full)
	if err != nil {
		return nil, err
	}
	own, err := payload.Requests(flipped, payload.ModelServer, podsPerSidecar, payload.Full)
	if err != nil {
		return nil, err
	}
	ours, err := b.loadProduct(ctx, background)
	if err != nil {
		return nil, err
	}
	defer ours.stop()
	f := &flipper{request: own[0]}
	if f.conn, err = grpc.NewClient(ours.process.Address(otlpGRPC), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		return nil, err
	}
	defer f.conn.Close()
	if err := f.push(ctx, true); err != nil {
		return nil, err
	}
	if err := ours.generator.pass(ctx, now); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, phaseLimit)
	defer cancel()
	conn, err := dialKEDA(ours.process.Address(kedaGRPC))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	b.say("push: opening %d streams", len(pods))
	streams, err := openStreams(ctx, conn, pods)
	if err != nil {
		return nil, err
	}
	f.listen(streams[len(streams)-1])
	return b.flips(ctx, ours, f)
}

// flips measures under background load, round by round.
func (b *bench) flips(ctx context.Context, ours loaded, f *flipper) ([]report.Row, error) {
	paced, stop := ours.generator.pace(ctx, b.pushRate)
	defer func() { _ = stop() }() // for the ways out that have an error already
	var all []time.Duration
	var p50, p99 []float64
	before, begin := ours.generator.sent.Load(), time.Now()
	for round := range b.rounds {
		latencies, err := f.flip(ctx, b.sizes.flips, paced)
		if err != nil {
			return nil, err
		}
		all = append(all, latencies...)
		ms := report.Milliseconds(latencies)
		p50, p99 = append(p50, report.Quantile(ms, 0.5)), append(p99, report.Quantile(ms, 0.99))
		b.say("push: round %d of %d: p50 %.3f ms, p99 %.3f ms", round+1, b.rounds, p50[round], p99[round])
	}
	rate := float64(ours.generator.sent.Load()-before) / time.Since(begin).Seconds()
	if err := stop(); err != nil {
		return nil, err
	}
	note := fmt.Sprintf("%d flips, %s streams, %.0f of %d points/s in the background", len(all), count(b.streams), rate, b.pushRate)
	if rate < 0.95*float64(b.pushRate) {
		// A latency under less load than promised says nothing about the bar.
		return nil, fmt.Errorf("the server takes no more than %.0f of %d points/s", rate, b.pushRate)
	}
	ms := report.Milliseconds(all)
	row := func(what string, q float64, runs []float64, limit *report.Bar) report.Row {
		return report.Row{Section: pushSection, What: what, Value: report.Quantile(ms, q), Unit: "ms", Runs: runs, Bar: limit, Note: note}
	}
	return []report.Row{
		row("Export to stream message, p50", 0.5, p50, b.bar(2)),
		row("Export to stream message, p99", 0.99, p99, b.bar(10)),
	}, nil
}

// flipper changes one ScaledObject's activity and hears of it.
type flipper struct {
	conn    *grpc.ClientConn
	request *payload.Request
	heard   chan heard
	active  bool // as pushed last
}

// heard is one message of the stream, or its end.
type heard struct {
	active bool
	at     time.Time
	err    error
}

func (f *flipper) push(ctx context.Context, active bool) error {
	value := 0.0
	if active {
		value = 5
	}
	f.active = active
	f.request.Patch(now(), value)
	return export(ctx, f.conn, f.request)
}

// listen hears the stream until it ends.
func (f *flipper) listen(s stream) {
	// Room for more than is ever outstanding: the clock stops in Recv's goroutine.
	f.heard = make(chan heard, 16)
	go func() {
		defer close(f.heard)
		for {
			m, err := s.Recv()
			select {
			case f.heard <- heard{m.GetResult(), time.Now(), err}:
			case <-s.Context().Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
}

// flip changes the activity that many times, at moments that keep no step with
// the background's.
func (f *flipper) flip(ctx context.Context, times int, background <-chan error) ([]time.Duration, error) {
	latencies := make([]time.Duration, 0, times)
	for range times {
		select {
		case <-time.After(leastPause + rand.N(mostPause-leastPause)):
		case err := <-background:
			return nil, fmt.Errorf("background traffic: %w", err)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		begin := time.Now()
		if err := f.push(ctx, !f.active); err != nil {
			return nil, err
		}
		select {
		case h, open := <-f.heard:
			switch {
			case !open || h.err != nil:
				return nil, fmt.Errorf("the stream ended: %w", h.err)
			case h.active != f.active:
				return nil, fmt.Errorf("the stream says active=%v after active=%v was pushed", h.active, f.active)
			}
			latencies = append(latencies, h.at.Sub(begin))
		case <-time.After(flipLimit):
			return nil, fmt.Errorf("no message within %s of the push", flipLimit)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return latencies, nil
}
