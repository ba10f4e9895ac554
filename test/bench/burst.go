package main

import (
	"context"
	"fmt"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/payload"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/report"
)

const burstMethod = "How long a sidecar with series that are known waits for Export to return, one call every two milliseconds, while\n" +
	"gateways push series that are new, as fast as they are taken, over connections of their own. Beside it the same\n" +
	"gateways pushing the same once more, when nothing is new any more, and no gateways at all. Client and server share the\n" +
	"machine's cores. Each round has a fleet of its own."

const (
	burstSection = "Burst"
	probePause   = 2 * time.Millisecond
	quietProbes  = 500
)

func (b *bench) burst(ctx context.Context) ([]report.Row, error) {
	perRound := b.burstSeries / len(payload.ModelServer)
	pods := payload.Fleet(b.rounds*perRound+1, 1)
	known, pods := pods[:1], pods[1:]
	own, err := payload.Requests(known, payload.ModelServer, podsPerSidecar, payload.Full)
	if err != nil {
		return nil, err
	}
	sidecar, err := b.loadProduct(ctx, own)
	if err != nil {
		return nil, err
	}
	defer sidecar.stop()
	if err := sidecar.generator.pass(ctx, now); err != nil {
		return nil, err
	}
	var quiet, fresh, again probes
	for round := range b.rounds {
		requests, err := payload.Requests(pods[:perRound], payload.ModelServer, podsPerGateway, payload.Full)
		if err != nil {
			return nil, err
		}
		pods = pods[perRound:]
		if err := b.burstRound(ctx, sidecar, requests, &quiet, &fresh, &again); err != nil {
			return nil, err
		}
		b.say("burst: round %d of %d: p99 %.2f ms beside new series, %.2f beside the same again, %.2f alone",
			round+1, b.rounds, fresh.last(), again.last(), quiet.last())
	}
	if err := checkStored(ctx, sidecar.process, (b.rounds*perRound+1)*len(payload.ModelServer), 0); err != nil {
		return nil, err
	}
	what := "Export of known series beside " + count(b.burstSeries)
	return []report.Row{
		quiet.row("Export of known series alone, p99"),
		again.row(what + " known ones, p99"),
		fresh.row(what + " new ones, p99"),
		{Section: burstSection, What: "new / known, p99", Value: report.Median(report.Ratios(fresh.p99, again.p99)), Runs: report.Ratios(fresh.p99, again.p99)},
	}, nil
}

func (b *bench) burstRound(ctx context.Context, sidecar loaded, requests []*payload.Request, quiet, fresh, again *probes) error {
	gateways, err := newGenerator(sidecar.process.Address(otlpGRPC), requests)
	if err != nil {
		return err
	}
	defer gateways.close()
	done := make(chan struct{})
	if err := quiet.probe(ctx, sidecar.generator, done, quietProbes); err != nil {
		return err
	}
	for _, p := range []*probes{fresh, again} {
		passed := make(chan error, 1)
		done := make(chan struct{})
		go func() {
			defer close(done)
			passed <- gateways.pass(ctx, now)
		}()
		if err := p.probe(ctx, sidecar.generator, done, 1<<20); err != nil {
			return err
		}
		if err := <-passed; err != nil {
			return err
		}
	}
	return nil
}

// probes are the latencies of one sender's calls, round by round.
type probes struct {
	p99   []float64 // ms
	calls int
}

// probe makes calls until done is closed, or that many.
func (p *probes) probe(ctx context.Context, g *generator, done <-chan struct{}, most int) error {
	var latencies []time.Duration
	tick := time.NewTicker(probePause)
	defer tick.Stop()
	for running := true; running && len(latencies) < most; {
		begin := time.Now()
		if err := g.workers[0].send(ctx, 1, now); err != nil {
			return err
		}
		latencies = append(latencies, time.Since(begin))
		select {
		case <-tick.C:
		case <-done:
			running = false
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.calls += len(latencies)
	p.p99 = append(p.p99, report.Quantile(report.Milliseconds(latencies), 0.99))
	return nil
}

func (p *probes) last() float64 { return p.p99[len(p.p99)-1] }

func (p *probes) row(what string) report.Row {
	return report.Row{Section: burstSection, What: what, Value: report.Median(p.p99), Unit: "ms", Runs: p.p99, Note: fmt.Sprintf("%d calls", p.calls)}
}
