package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/payload"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/report"
)

const queriesMethod = "How long KEDA waits for GetMetrics with the query KServe writes, sum(m{namespace, deployment}), over series of one\n" +
	"metric that are spread over deployments of ten pods; a hundred ScaledObjects are asked in turn. Beside it a scaler\n" +
	"that answers with a constant, over the same kind of connection; blocks of a hundred calls alternate. Ratios are of\n" +
	"the p50 of one round, and the middle one counts. On an idle machine both spend most of the time waking up; where\n" +
	"something keeps the cores awake the constant gains more, and the ratio rises."

const (
	podsPerQuery   = 10   // of one deployment
	askedObjects   = 100  // ScaledObjects that are asked in turn
	callsPerBlock  = 100  // before the other server has its turn
	podsPerLoading = 1000 // in one request; each pod has a single series here
	callLimit      = 5 * time.Second
)

func (b *bench) queries(ctx context.Context) ([]report.Row, error) {
	reference, err := b.startReference(ctx, constantServer)
	if err != nil {
		return nil, err
	}
	defer reference.Stop()
	constant, err := dialKEDA(reference.Address(constantServer))
	if err != nil {
		return nil, err
	}
	defer constant.Close()
	var rows []report.Row
	for _, series := range b.querySeries {
		more, err := b.queriesAt(ctx, series, constant)
		if err != nil {
			return rows, fmt.Errorf("%d series: %w", series, err)
		}
		rows = append(rows, more...)
	}
	if !slices.Contains(b.querySeries, million) {
		rows = append(rows, report.Row{Section: "Queries", What: queryRatio(million), Missing: needsFull, Bar: b.bar(1.3)})
	}
	return rows, nil
}

func (b *bench) queriesAt(ctx context.Context, series int, constant *grpc.ClientConn) ([]report.Row, error) {
	pods := payload.Fleet(series/podsPerQuery, podsPerQuery)
	requests, err := payload.Requests(pods, []string{payload.Running}, podsPerLoading, payload.Full)
	if err != nil {
		return nil, err
	}
	ours, err := b.loadProduct(ctx, requests)
	if err != nil {
		return nil, err
	}
	defer ours.stop()
	b.say("queries: loading %d series", series)
	// Once only: a series with a single sample has no rhythm to fall silent
	// against, and stands for the product's retention.
	if err := ours.generator.pass(ctx, now); err != nil {
		return nil, err
	}
	if err := checkStored(ctx, ours.process, series, ours.generator.sent.Load()); err != nil {
		return nil, err
	}
	conn, err := dialKEDA(ours.process.Address(kedaGRPC))
	if err != nil {
		return nil, err
	}
	defer conn.Close()

	asked := questions(pods)
	constantSide, productSide := &asker{conn: constant, asked: asked}, &asker{conn: conn, asked: asked}
	// The first call about a ScaledObject compiles its query; KEDA asks for days.
	if err := productSide.ask(ctx, len(asked), podsPerQuery); err != nil {
		return nil, err
	}
	if err := constantSide.ask(ctx, len(asked), 0); err != nil {
		return nil, err
	}
	constantSide.latencies, productSide.latencies = nil, nil
	var constantP50, productP50 []float64
	for round := range b.rounds {
		from := len(productSide.latencies)
		for range (b.queryCalls + callsPerBlock - 1) / callsPerBlock {
			if err := constantSide.ask(ctx, callsPerBlock, 0); err != nil {
				return nil, err
			}
			if err := productSide.ask(ctx, callsPerBlock, podsPerQuery); err != nil {
				return nil, err
			}
		}
		constantP50 = append(constantP50, report.Quantile(report.Milliseconds(constantSide.latencies[from:]), 0.5))
		productP50 = append(productP50, report.Quantile(report.Milliseconds(productSide.latencies[from:]), 0.5))
		b.say("queries: %d series: round %d of %d: p50 %.3f ms, constant %.3f ms", series, round+1, b.rounds, productP50[round], constantP50[round])
	}
	return b.queryRows(series, productP50, constantP50, productSide.latencies, constantSide.latencies), nil
}

// questions are calls about ScaledObjects from all over the fleet.
func questions(pods []payload.Pod) []*externalscaler.GetMetricsRequest {
	deployments := len(pods) / podsPerQuery
	asked := make([]*externalscaler.GetMetricsRequest, min(askedObjects, deployments))
	for i := range asked {
		pod := pods[i*deployments/len(asked)*podsPerQuery]
		asked[i] = &externalscaler.GetMetricsRequest{ScaledObjectRef: scaledObject(pod), MetricName: "s0-" + pod.Deployment}
	}
	return asked
}

// asker asks one scaler, one call after the other, as KEDA's poll does.
type asker struct {
	conn      *grpc.ClientConn
	asked     []*externalscaler.GetMetricsRequest
	next      int
	latencies []time.Duration
}

// ask makes calls and, where want is not 0, insists on that answer: an error or
// a hold would be quick, too.
func (a *asker) ask(ctx context.Context, calls int, want float64) error {
	client := externalscaler.NewExternalScalerClient(a.conn)
	for range calls {
		request := a.asked[a.next]
		a.next = (a.next + 1) % len(a.asked)
		limited, cancel := context.WithTimeout(ctx, callLimit)
		begin := time.Now()
		answer, err := client.GetMetrics(limited, request)
		took := time.Since(begin)
		cancel()
		if err != nil {
			return fmt.Errorf("GetMetrics: %w", err)
		}
		a.latencies = append(a.latencies, took)
		values := answer.GetMetricValues()
		if want != 0 && (len(values) != 1 || values[0].GetMetricValueFloat() != want) {
			return fmt.Errorf("GetMetrics: %v, and the deployment's pods add up to %v", values, want)
		}
	}
	return nil
}

func (b *bench) queryRows(series int, productP50, constantP50 []float64, productAll, constantAll []time.Duration) []report.Row {
	row := func(what string, value float64, runs []float64) report.Row {
		return report.Row{Section: "Queries", What: fmt.Sprintf("%s series: %s", count(series), what), Value: value, Unit: "ms", Runs: runs}
	}
	ratios := report.Ratios(productP50, constantP50)
	ratio := report.Row{Section: "Queries", What: queryRatio(series), Value: report.Median(ratios), Runs: ratios}
	if series >= 100_000 {
		ratio.Bar = b.bar(1.3)
	}
	return []report.Row{
		row("constant, p50", report.Median(constantP50), constantP50),
		row("constant, p99", report.Quantile(report.Milliseconds(constantAll), 0.99), nil),
		row(product+", p50", report.Median(productP50), productP50),
		row(product+", p99", report.Quantile(report.Milliseconds(productAll), 0.99), nil),
		ratio,
	}
}

func queryRatio(series int) string {
	return fmt.Sprintf("%s series: %s / constant, p50", count(series), product)
}
