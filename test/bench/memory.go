package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/payload"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/report"
)

const memoryMethod = "What the kernel says is in RAM (VmRSS), read right after the last push, with no garbage collection forced and\n" +
	"neither GOGC nor GOMEMLIMIT set: the servers' environment is empty. Series have a name and 6 labels, and one sample\n" +
	"for each pass over all of them; sample times lie within the retention, pushes come as fast as they are taken. A series'\n" +
	"bytes are those above the process as it was before the first push. The process is started anew for each run."

// held is what a process is made to hold.
type held struct {
	series, samples int
	step            time.Duration // from sample to sample
}

// retention is the product's default; whatever is older is not held.
const retention = 2 * time.Minute

// tooSlow stands where a figure would be of fewer samples than it says.
const tooSlow = "too slow"

var errTooSlow = errors.New("the first samples were older than the retention before the last were pushed")

// resident is what it takes up.
type resident struct {
	empty, full, peak int64
	series            int
}

func (r resident) perSeries() float64 { return float64(r.full-r.empty) / float64(r.series) }

func (b *bench) memory(ctx context.Context) ([]report.Row, error) {
	var rows []report.Row
	for _, h := range []held{
		{b.memorySeries, 12, 5 * time.Second},
		{b.memorySeries, 24, 2 * time.Second},
	} {
		row, err := b.perSeries(ctx, h)
		if err != nil {
			return rows, err
		}
		if h.samples == 12 {
			row.Bar = b.bar(1000)
		}
		rows = append(rows, row)
	}
	total := report.Row{Section: "Memory", What: "1M series x 24 samples: in all", Unit: "GiB", Bar: b.below(1.2), Missing: needsFull}
	if b.full {
		// A short step, for the first samples must still be held after the load.
		switch r, err := b.hold(ctx, held{million, 24, time.Second}); {
		case errors.Is(err, errTooSlow):
			total.Missing, total.Note = tooSlow, err.Error()
		case err != nil:
			return rows, err
		default:
			total.Missing, total.Value = "", gibibytes(r.full)
			total.Note = fmt.Sprintf("%.0f bytes a series; peak %.2f GiB", r.perSeries(), gibibytes(r.peak))
		}
	}
	return append(rows, total), nil
}

func gibibytes(n int64) float64 { return float64(n) / (1 << 30) }

// perSeries repeats a measurement: when the last collection fell is chance.
func (b *bench) perSeries(ctx context.Context, h held) (report.Row, error) {
	var runs []float64
	var last resident
	for range min(b.rounds, b.memoryRuns) {
		r, err := b.hold(ctx, h)
		if err != nil {
			return report.Row{}, err
		}
		runs, last = append(runs, r.perSeries()), r
	}
	return report.Row{
		Section: "Memory",
		What:    fmt.Sprintf("%s series x %d samples: a series", count(h.series), h.samples),
		Value:   report.Median(runs),
		Unit:    "bytes",
		Runs:    runs,
		Note: fmt.Sprintf("last run: %.1f MiB empty, %.1f MiB full, peak %.1f MiB",
			mebibytes(last.empty), mebibytes(last.full), mebibytes(last.peak)),
	}, nil
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

func (b *bench) hold(ctx context.Context, h held) (resident, error) {
	r := resident{series: h.series}
	pods := payload.Fleet(h.series/len(payload.ModelServer)/podsPerDeployment, podsPerDeployment)
	requests, err := payload.Requests(pods, payload.ModelServer, podsPerGateway, payload.Bare)
	if err != nil {
		return r, err
	}
	ours, err := b.loadProduct(ctx, requests)
	if err != nil {
		return r, err
	}
	defer ours.stop()
	if r.empty, _, err = ours.process.Resident(); err != nil {
		return r, err
	}
	begin := time.Now()
	first := begin.Add(-time.Duration(h.samples-1) * h.step)
	for i := range h.samples {
		at := first.Add(time.Duration(i) * h.step).UnixNano()
		if err := ours.generator.pass(ctx, func() int64 { return at }); err != nil {
			return r, err
		}
		if time.Since(first) > retention*9/10 {
			return r, fmt.Errorf("%w: %s series x %d samples, and %d passes took %s", errTooSlow,
				count(h.series), h.samples, i+1, time.Since(begin).Round(time.Second))
		}
	}
	if r.full, r.peak, err = ours.process.Resident(); err != nil {
		return r, err
	}
	b.say("memory: %d series x %d samples: %.0f bytes a series", h.series, h.samples, r.perSeries())
	return r, checkStored(ctx, ours.process, h.series, ours.generator.sent.Load())
}
