package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/payload"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/report"
)

const standingMethod = "What open StreamIsActive streams cost those who push: CPU time for a data point of gateway requests, to a process\n" +
	"with that many ScaledObjects' streams open beside one without. Each ScaledObject's query sums over its own\n" +
	"deployment's two pods of 20 series, and every deployment that pushes has a stream. The two processes take turns. " + steadyMethod

// replicas is how many pods each deployment with a stream has.
const replicas = 2

func (b *bench) standing(ctx context.Context) ([]report.Row, error) {
	var rows []report.Row
	for _, streams := range b.sizes.standing {
		more, err := b.standingAt(ctx, streams)
		if err != nil {
			return rows, fmt.Errorf("%d streams: %w", streams, err)
		}
		rows = append(rows, more...)
	}
	if !slices.Contains(b.sizes.standing, manyStanding) {
		rows = append(rows, report.Row{Section: standingSection, What: standingRatio(manyStanding), Missing: needsFull, Bar: b.bar(1.15)})
	}
	return rows, nil
}

const standingSection = "Triggers' queries"

func standingRatio(streams int) string {
	return fmt.Sprintf("%s streams / none", count(streams))
}

func (b *bench) standingAt(ctx context.Context, streams int) ([]report.Row, error) {
	pods := payload.Fleet(streams, replicas)
	requests, err := payload.Requests(pods, payload.ModelServer, podsPerGateway, payload.Full)
	if err != nil {
		return nil, err
	}
	without, err := b.loadSteady(ctx, requests)
	if err != nil {
		return nil, err
	}
	defer without.stop()
	with, err := b.loadSteady(ctx, requests)
	if err != nil {
		return nil, err
	}
	defer with.stop()
	conn, err := dialKEDA(with.process.Address(kedaGRPC))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b.say("standing: opening %d streams", streams)
	if _, err := openStreams(ctx, conn, perDeployment(pods, replicas)); err != nil {
		return nil, err
	}

	// So often every series that each query has its turns, and that a collection,
	// which costs as much as a million points here, falls into every phase.
	points := max(b.standingPoint, b.standingPasses*payload.Points(requests))
	var base, loaded []float64
	for round := range b.rounds {
		ns, err := without.cpuPerPoint(ctx, points)
		if err != nil {
			return nil, err
		}
		base = append(base, ns)
		if ns, err = with.cpuPerPoint(ctx, points); err != nil {
			return nil, err
		}
		loaded = append(loaded, ns)
		b.say("standing: %d streams: round %d of %d: %.0f ns/point, without %.0f", streams, round+1, b.rounds, ns, base[round])
	}
	row := func(what string, runs []float64) report.Row {
		return report.Row{Section: standingSection, What: what, Value: report.Median(runs), Unit: "ns/point", Runs: runs,
			Note: fmt.Sprintf("%s series", count(payload.Points(requests)))}
	}
	ratios := report.Ratios(loaded, base)
	ratio := report.Row{Section: standingSection, What: standingRatio(streams), Value: report.Median(ratios), Runs: ratios}
	if streams == manyStanding {
		ratio.Bar = b.bar(1.15)
	}
	return []report.Row{
		row(fmt.Sprintf("no streams, %s deployments", count(streams)), base),
		row(fmt.Sprintf("%s streams", count(streams)), loaded),
		ratio,
	}, nil
}

// perDeployment returns the first pod of each deployment.
func perDeployment(pods []payload.Pod, podsEach int) []payload.Pod {
	var firsts []payload.Pod
	for i := 0; i < len(pods); i += podsEach {
		firsts = append(firsts, pods[i])
	}
	return firsts
}
