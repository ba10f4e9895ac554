package query

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// maxMoments bounds the moments of losses that are looked at: the newest, a second
// apart at least.
const maxMoments = 128

// Loss is what a query has lost: series that fell silent under load.
type Loss = store.Loss

// before remembers a plan's values at the moments of losses: the series that are
// still there lose the samples of that time sooner than those that aren't.
type before struct {
	mu     sync.Mutex // held during evaluations, before the standing answer's
	loss   Loss
	values map[int64]float64 // by moment in ms; NaN where there is none
}

// lost asks the store what the engine does not tell.
func (p *Plan) lost(ctx context.Context) (loss Loss, err error) {
	for _, ms := range p.selectors {
		pr, err := p.e.opts.Store.Presence(ctx, ms...)
		if err != nil {
			return loss, fmt.Errorf("%w: %s: %w", ErrEvaluation, p.text, err)
		}
		loss.Merge(pr.Lost)
	}
	return loss, nil
}

// Before returns the most that the query was when series of a loss, as a Result or
// an EmptyError names it, were seen last; ok is false if that can't be told. Not
// only the first of the moments counts: a small loss must not hide a larger one
// that follows.
func (p *Plan) Before(ctx context.Context, loss Loss) (most float64, ok bool) {
	b := &p.before
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.values == nil || b.loss != loss {
		values, err := p.valuesAt(ctx, loss)
		if err != nil {
			return 0, false
		}
		// Of those who are back the moments count until all are: a part of what was
		// lost later had been seen last when they were missing.
		if loss.First <= b.loss.Last {
			for t, v := range b.values {
				if t >= loss.Last-p.e.opts.Retention.Milliseconds() {
					values[t] = v
				}
			}
		}
		b.loss, b.values = loss, values
	}
	most = math.Inf(-1)
	for v := range maps.Values(b.values) {
		if !math.IsNaN(v) {
			most, ok = max(most, v), true
		}
	}
	return most, ok
}

// valuesAt evaluates for the moments that are not known yet. It fails if it is
// interrupted.
func (p *Plan) valuesAt(ctx context.Context, loss Loss) (map[int64]float64, error) {
	moments := []int64{loss.First}
	if loss.Count > 0 {
		moments = moments[:0]
		for _, ms := range p.selectors {
			more, err := p.e.opts.Store.Losses(ctx, ms...)
			if err != nil {
				return nil, err
			}
			moments = append(moments, more...)
		}
		slices.Sort(moments)
		moments = slices.Compact(moments)
		moments = moments[max(0, len(moments)-maxMoments):]
	}
	values := make(map[int64]float64, len(moments))
	for _, t := range moments {
		v, known := p.before.values[t]
		if !known {
			r, err := p.Read(ctx, time.UnixMilli(t))
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if v = r.Value; err != nil {
				v = math.NaN()
			}
		}
		values[t] = v
	}
	return values, nil
}
