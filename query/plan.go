package query

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// Plan is a compiled query. It is never changed, and may be used concurrently.
type Plan struct {
	e         *Engine
	text      string
	expr      parser.Expr
	scope     Scope
	metric    string
	selectors []selector
	monotone  bool
	span      time.Duration
	moves     bool // its value changes with time alone
}

// String returns the query as it is evaluated.
func (p *Plan) String() string { return p.text }

// Metric returns the name of the first metric in the query, as stored; empty
// if the query names none.
func (p *Plan) Metric() string { return p.metric }

// Selector returns the text of a selector.
func (p *Plan) Selector(i int) string { return selectorText(p.selectors[i].matchers) }

// Monotone reports whether a value without some series is a lower bound, as long as
// no series is negative.
func (p *Plan) Monotone() bool { return p.monotone }

// Span returns how far back the query reads samples.
func (p *Plan) Span() time.Duration { return p.span }

// Eval returns the query's value at a moment, of the series that push; ok is false
// if it has none. Errors wrap ErrNotOneNumber or ErrEvaluation.
func (p *Plan) Eval(ctx context.Context, at time.Time) (v float64, ok bool, err error) {
	view := &store.View{At: at.UnixMilli(), Accumulates: accumulates}
	if v, ok, err = p.evalEngine(ctx, p.text, view); err == nil && !finite(v) {
		err = p.notFinite(ctx, p.expr, view, v)
	}
	return v, ok, err
}

func (p *Plan) failed(err error) error {
	return fmt.Errorf("%w: %s: %w", ErrEvaluation, p.text, err)
}

// evalEngine evaluates by the engine, once the semaphore lets it.
func (p *Plan) evalEngine(ctx context.Context, text string, view *store.View) (v float64, ok bool, err error) {
	waiting, cancel := context.WithTimeoutCause(ctx, p.e.opts.Timeout, fmt.Errorf("%w: %s", errBusy, p.e.opts.Timeout))
	release, err := p.e.evaluations.Acquire(waiting, p.scope)
	cancel()
	if err != nil {
		return 0, false, p.failed(err)
	}
	defer release()
	began := time.Now()
	val, err := p.evalVector(ctx, text, view)
	took := time.Since(began)
	p.e.metrics.engine.Inc()
	p.e.metrics.engineTime.Observe(took.Seconds())
	if took >= p.e.long {
		p.e.opts.Long()
	}
	switch {
	case err != nil || len(val) == 0:
		return 0, false, err
	case len(val) > 1:
		return 0, false, fmt.Errorf("%w: %w: %s yields %d series, such as %s and %s; put sum(...), avg(...) or max(...) around it",
			ErrNotOneNumber, ErrSeveral, p.text, len(val), val[0].Metric, val[1].Metric)
	case val[0].H != nil:
		return 0, false, fmt.Errorf("%w: %s is a native histogram; take a number from it with histogram_quantile(0.95, ...), histogram_count(...) or histogram_avg(...)",
			ErrNotOneNumber, p.text)
	}
	return val[0].F, true, nil
}

// evalVector evaluates by the engine; a number becomes one element. The engine reuses
// the memory of histograms, so that only their presence may be read.
func (p *Plan) evalVector(ctx context.Context, text string, view *store.View) (promql.Vector, error) {
	q, err := p.e.promql.NewInstantQuery(ctx, p.scope.Within(p.e.opts.Store.Within(view)), nil, text, time.UnixMilli(view.At))
	if err != nil {
		return nil, p.failed(err)
	}
	defer q.Close()
	res := q.Exec(ctx)
	if number, err := res.Scalar(); err == nil {
		return promql.Vector{{F: number.V}}, nil
	}
	val, err := res.Vector()
	if err != nil {
		return nil, p.failed(err)
	}
	return val, nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// notFinite reports what makes a value NaN or infinite, which KEDA would read as 0: a
// divisor that is 0, or a series that is not finite itself.
func (p *Plan) notFinite(ctx context.Context, expr parser.Expr, view *store.View, v float64) (err error) {
	parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
		b, ok := n.(*parser.BinaryExpr)
		if !ok || b.Op != parser.DIV && b.Op != parser.MOD || slices.ContainsFunc(path, isSubquery) {
			return nil
		}
		divisor := b.RHS.String()
		if _, found := p.element(ctx, divisor, view, func(v float64) bool { return v == 0 }); found {
			err = fmt.Errorf("%w: %s is %v: its divisor %s is 0; write clamp_min(%s, 1) in its place", ErrNotOneNumber, p.text, v, divisor, divisor)
		}
		return err
	})
	if err != nil {
		return err
	}
	for i := range p.selectors {
		if series, found := p.element(ctx, p.Selector(i), view, func(v float64) bool { return !finite(v) }); found {
			return fmt.Errorf("%w: %s is %v: the series %s is; leave it out by a filter inside the aggregation, such as sum(%s >= 0)",
				ErrNotOneNumber, p.text, v, series, p.Selector(i))
		}
	}
	return fmt.Errorf("%w: %s is %v (such as a quantile of no observations); if that is no load, write (%s) >= 0, which is 0 then",
		ErrNotOneNumber, p.text, v, p.text)
}

func isSubquery(n parser.Node) bool {
	_, ok := n.(*parser.SubqueryExpr)
	return ok
}

// element returns the labels of the first float in an expression's value that is as
// asked. Where the expression can't be evaluated there is none: the caller has an error
// to report that this explains no better.
func (p *Plan) element(ctx context.Context, text string, view *store.View, is func(float64) bool) (metric string, found bool) {
	val, _ := p.evalVector(ctx, text, view)
	for _, e := range val {
		if e.H == nil && is(e.F) {
			return e.Metric.String(), true
		}
	}
	return "", false
}
