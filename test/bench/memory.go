package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/payload"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/process"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/report"
)

const memoryMethod = "What the kernel says is in RAM (VmRSS), read right after the last push, with no garbage collection forced and\n" +
	"neither GOGC nor GOMEMLIMIT set: the servers' environment is empty. Series have a name and 6 labels, and one sample\n" +
	"for each pass over all of them; sample times lie within the retention, pushes come as fast as they are taken. A series'\n" +
	"bytes are those above the process as it was before the first push. The process is started anew for each run.\n" +
	"Where it says so, a collection was asked for then (/debug/pprof/heap?gc=1) and the figure is what stays in RAM once it\n" +
	"no longer falls; memory that the runtime keeps for later counts. Values are whole numbers, as most of a model server's\n" +
	"are; a series with fractions takes four bytes more for each sample there is room for."

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
	collected         int64 // after a collection
	series            int
}

func (r resident) perSeries() float64 { return float64(r.full-r.empty) / float64(r.series) }

func (r resident) perSeriesCollected() float64 {
	return float64(r.collected-r.empty) / float64(r.series)
}

func (b *bench) memory(ctx context.Context) ([]report.Row, error) {
	var rows []report.Row
	for _, h := range []held{
		{b.memorySeries, 12, 5 * time.Second},
		{b.memorySeries, 24, 2 * time.Second},
	} {
		pushed, collected, err := b.perSeries(ctx, h)
		if err != nil {
			return rows, err
		}
		switch h.samples {
		case 12:
			pushed.Bar = b.bar(600)
		case 24:
			collected.Bar = b.bar(700)
		}
		rows = append(rows, pushed, collected)
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
func (b *bench) perSeries(ctx context.Context, h held) (pushed, collected report.Row, err error) {
	var after, settled []float64
	var last resident
	for range min(b.rounds, b.memoryRuns) {
		if last, err = b.hold(ctx, h); err != nil {
			return pushed, collected, err
		}
		after, settled = append(after, last.perSeries()), append(settled, last.perSeriesCollected())
	}
	what := fmt.Sprintf("%s series x %d samples: a series", count(h.series), h.samples)
	row := func(what string, runs []float64, full int64) report.Row {
		return report.Row{Section: "Memory", What: what, Value: report.Median(runs), Unit: "bytes", Runs: runs,
			Note: fmt.Sprintf("last run: %.1f MiB empty, %.1f MiB full, peak %.1f MiB",
				mebibytes(last.empty), mebibytes(full), mebibytes(last.peak))}
	}
	return row(what, after, last.full), row(what+", collected", settled, last.collected), nil
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
	if r.collected, err = settle(ctx, ours.process); err != nil {
		return r, err
	}
	b.say("memory: %d series x %d samples: %.0f bytes a series, %.0f after a collection", h.series, h.samples, r.perSeries(), r.perSeriesCollected())
	return r, checkStored(ctx, ours.process, h.series, ours.generator.sent.Load())
}

const (
	settleStep  = 500 * time.Millisecond
	settleSteps = 6 // without less than before: the runtime returns memory bit by bit
	settleLimit = 30 * time.Second
)

// settle has a collection run and returns what is resident once it no longer
// falls.
func settle(ctx context.Context, p *process.Process) (int64, error) {
	if err := collect(ctx, p); err != nil {
		return 0, err
	}
	least, _, err := p.Resident()
	for end, same := time.Now().Add(settleLimit), 0; err == nil && same < settleSteps && time.Now().Before(end); same++ {
		select {
		case <-time.After(settleStep):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		var now int64
		if now, _, err = p.Resident(); now < least {
			least, same = now, 0
		}
	}
	return least, err
}
