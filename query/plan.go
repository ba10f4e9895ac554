package query

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// Plan is a compiled query. It may be used concurrently.
type Plan struct {
	e         *Engine
	text      string
	scope     Scope
	metric    string
	selectors [][]*labels.Matcher
	filters   bool
	direct    *direct // nil if only the engine can evaluate it
	standing  standing
	took      atomic.Int64 // the engine for the last evaluation, in ns

	before   before
	restored restored
}

// String returns the query as it is evaluated.
func (p *Plan) String() string { return p.text }

// Metric returns the name of the first metric in the query, as stored; empty
// if the query names none.
func (p *Plan) Metric() string { return p.metric }

// Result is a query's value, and what is missing from it.
type Result struct {
	Value float64
	Lost  Loss
}

// Eval returns the query's value at a moment. If the result is empty the error
// is an *EmptyError, which tells how the series stand now, whatever the moment;
// other errors wrap ErrNotOneNumber or ErrEvaluation.
func (p *Plan) Eval(ctx context.Context, at time.Time) (float64, error) {
	r, err := p.Read(ctx, at)
	return r.Value, err
}

// Read is Eval, and tells what is missing.
func (p *Plan) Read(ctx context.Context, at time.Time) (Result, error) {
	r, err := p.read(ctx, at)
	return r, p.overdue(err)
}

// overdue looks whether load was refused that would have filled an empty result. It
// is no part of an answer that stands, since a refused sample changes no series.
func (p *Plan) overdue(err error) error {
	var empty *EmptyError
	if err == nil || !errors.As(err, &empty) || empty.Live > 0 {
		return err
	}
	for _, ms := range p.selectors {
		if p.e.opts.Store.TooOld(ms...) {
			old := *empty
			old.Reason = TooOld
			return &old
		}
	}
	return err
}

func (p *Plan) read(ctx context.Context, at time.Time) (Result, error) {
	if p.direct != nil {
		if a := p.standing.eval(ctx, at); !errors.Is(a.err, errFallBack) {
			return a.result(), a.err
		}
	}
	done, err := p.e.turns.take(ctx, p.scope, p.e.opts.Timeout)
	if err != nil {
		return Result{}, fmt.Errorf("%w: %s: %w", ErrEvaluation, p.text, err)
	}
	defer done()
	began := time.Now()
	v, ok, err := p.evalEngine(ctx, at)
	took := time.Since(began)
	p.took.Store(int64(took))
	p.e.metrics.engine.Inc()
	p.e.metrics.engineTime.Observe(took.Seconds())
	if took >= p.e.long {
		p.e.opts.Long()
	}
	if v, err = p.answer(ctx, v, ok, err); err != nil {
		return Result{}, err
	}
	lost, err := p.lost(ctx)
	return Result{Value: v, Lost: lost}, err
}

// Took returns how long the PromQL engine took for the plan's last evaluation; 0
// if it was never needed.
func (p *Plan) Took() time.Duration { return time.Duration(p.took.Load()) }

func (p *Plan) answer(ctx context.Context, v float64, ok bool, err error) (float64, error) {
	if err == nil {
		if !ok {
			err = p.whyEmpty(ctx)
		} else if err = p.finite(v); err == nil {
			return v, nil
		}
	}
	return 0, err
}

// finite refuses what KEDA would make a zero of.
func (p *Plan) finite(v float64) error {
	if !finite(v) {
		return fmt.Errorf("%w: %s is %v (a division by zero, or a quantile of no observations); "+
			"if that is to count as 0, write (%s >= 0) or vector(0)", ErrNotOneNumber, p.text, v, p.text)
	}
	return nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// evalInstant evaluates without the engine, or says errFallBack.
func (p *Plan) evalInstant(ctx context.Context, in *store.Instant, at time.Time) (v float64, ok bool, err error) {
	v, ok, err = p.direct.eval(ctx, in, at.UnixMilli(), p.e.limits())
	switch {
	case errors.Is(err, store.ErrHistogram):
		err = errFallBack
	case err != nil && !errors.Is(err, errFallBack):
		err = fmt.Errorf("%w: %s: %w", ErrEvaluation, p.text, err)
	}
	return v, ok, err
}

func (p *Plan) evalEngine(ctx context.Context, at time.Time) (v float64, ok bool, err error) {
	q, err := p.e.promql.NewInstantQuery(ctx, p.scope.Within(p.e.opts.Store), nil, p.text, at)
	if err != nil {
		return 0, false, fmt.Errorf("%w: %s: %w", ErrEvaluation, p.text, err)
	}
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return 0, false, fmt.Errorf("%w: %s: %w", ErrEvaluation, p.text, res.Err)
	}
	switch val := res.Value.(type) {
	case promql.Scalar:
		v = val.V
	case promql.Vector:
		switch {
		case len(val) == 0:
			return 0, false, nil
		case len(val) > 1:
			return 0, false, fmt.Errorf("%w: %s yields %d series, such as %s and %s; put sum(...), avg(...) or max(...) around it",
				ErrNotOneNumber, p.text, len(val), val[0].Metric, val[1].Metric)
		case val[0].H != nil:
			return 0, false, fmt.Errorf("%w: %s is a native histogram; take a number from it with histogram_quantile(0.95, ...), histogram_count(...) or histogram_avg(...)",
				ErrNotOneNumber, p.text)
		}
		v = val[0].F
	default:
		return 0, false, fmt.Errorf("%w: %s is a %s", ErrNotOneNumber, p.text, res.Value.Type())
	}
	return v, true, nil
}

// whyEmpty finds out why the result is empty. A selector whose series are gone
// weighs most: it may hide load. A selector of which some series are live is
// not what made the result empty.
func (p *Plan) whyEmpty(ctx context.Context) error {
	empty := &EmptyError{Query: p.text}
	var gone, ended, unseen bool
	var goneAt int64
	for _, ms := range p.selectors {
		pr, err := p.e.opts.Store.Presence(ctx, ms...)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrEvaluation, p.text, err)
		}
		empty.Live += pr.Live
		empty.Ended += pr.Ended
		empty.Gone += pr.Gone
		switch {
		case pr.Live > 0:
		case pr.Gone > 0:
			empty.Lost.Merge(pr.Lost)
			at := pr.GoneAt
			if pr.Lost.Count > 0 {
				at = pr.Lost.First // when those that went first were still there
			}
			if !gone || at < goneAt {
				goneAt = at // the earliest, when all selectors still had theirs
			}
			gone = true
		case pr.Ended > 0:
			ended = true
		default:
			unseen = true
		}
	}
	switch {
	case gone:
		empty.Reason, empty.GoneAt = Gone, time.UnixMilli(goneAt)
		if empty.Lost.Count == 0 {
			empty.Lost.First, empty.Lost.Last = goneAt, goneAt
		}
	case p.filters && empty.Live > 0:
		empty.Reason = Filtered
	case unseen || len(p.selectors) == 0:
		empty.Reason = NeverSeen
	case ended:
		empty.Reason = Ended
	default:
		empty.Reason = TooFew
	}
	return empty
}
