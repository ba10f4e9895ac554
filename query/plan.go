package query

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"
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

// Selectors returns how many selectors the query has.
func (p *Plan) Selectors() int { return len(p.selectors) }

// Selector returns the text of a selector.
func (p *Plan) Selector(i int) string { return selectorText(p.selectors[i].matchers) }

// Monotone tells whether a value without some series is a lower bound, as long as
// no series is negative.
func (p *Plan) Monotone() bool { return p.monotone }

// Span returns how far back the query reads samples.
func (p *Plan) Span() time.Duration { return p.span }

// Eval returns the query's value at a moment, of the series that push; ok is false
// if it has none. Errors wrap ErrNotOneNumber or ErrEvaluation.
func (p *Plan) Eval(ctx context.Context, at time.Time) (v float64, ok bool, err error) {
	view := &store.View{At: at.UnixMilli(), Accumulates: accumulates}
	v, ok, err = p.timed(ctx, p.text, view)
	if err == nil && ok && !finite(v) {
		err = p.notFinite(ctx, p.expr, view, v)
	}
	return v, ok, err
}

// timed evaluates by the engine, once the semaphore lets it.
func (p *Plan) timed(ctx context.Context, text string, view *store.View) (float64, bool, error) {
	timeout := p.e.opts.Timeout
	waiting, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w: %s", errBusy, timeout))
	release, err := p.e.evaluations.Acquire(waiting, p.scope)
	cancel()
	if err != nil {
		return 0, false, p.failed(err)
	}
	defer release()
	began := time.Now()
	v, ok, err := p.evalEngine(ctx, text, view)
	took := time.Since(began)
	p.e.metrics.engine.Inc()
	p.e.metrics.engineTime.Observe(took.Seconds())
	if took >= p.e.long {
		p.e.opts.Long()
	}
	return v, ok, err
}

func (p *Plan) failed(err error) error {
	return fmt.Errorf("%w: %s: %w", ErrEvaluation, p.text, err)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// evalDirect evaluates without the engine, or says errFallBack.
func (p *Plan) evalDirect(ctx context.Context, d *direct, in *store.Instant) (v float64, ok bool, err error) {
	v, ok, err = d.eval(ctx, in, p.e.limits())
	switch {
	case errors.Is(err, store.ErrHistogram):
		err = errFallBack
	case err != nil && !errors.Is(err, errFallBack):
		err = p.failed(err)
	}
	return v, ok, err
}

// evalVector evaluates by the engine. The elements are the engine's until close.
func (p *Plan) evalVector(ctx context.Context, text string, view *store.View) (_ promql.Vector, kind parser.ValueType, done func(), err error) {
	q, err := p.e.promql.NewInstantQuery(ctx, p.scope.Within(p.e.opts.Store.Within(view)), nil, text, time.UnixMilli(view.At))
	if err != nil {
		return nil, "", nil, p.failed(err)
	}
	res := q.Exec(ctx)
	if res.Err != nil {
		q.Close()
		return nil, "", nil, p.failed(res.Err)
	}
	switch val := res.Value.(type) {
	case promql.Scalar:
		return promql.Vector{{F: val.V}}, val.Type(), q.Close, nil
	case promql.Vector:
		return val, val.Type(), q.Close, nil
	}
	return nil, res.Value.Type(), q.Close, nil
}

func (p *Plan) evalEngine(ctx context.Context, text string, view *store.View) (v float64, ok bool, err error) {
	val, kind, done, err := p.evalVector(ctx, text, view)
	if err != nil {
		return 0, false, err
	}
	defer done()
	switch {
	case kind != parser.ValueTypeVector && kind != parser.ValueTypeScalar:
		return 0, false, fmt.Errorf("%w: %s is a %s", ErrNotOneNumber, p.text, kind)
	case len(val) == 0:
		return 0, false, nil
	case len(val) > 1:
		return 0, false, fmt.Errorf("%w: %w: %s yields %d series, such as %s and %s; put sum(...), avg(...) or max(...) around it",
			ErrNotOneNumber, ErrSeveral, p.text, len(val), val[0].Metric, val[1].Metric)
	case val[0].H != nil:
		return 0, false, fmt.Errorf("%w: %s is a native histogram; take a number from it with histogram_quantile(0.95, ...), histogram_count(...) or histogram_avg(...)",
			ErrNotOneNumber, p.text)
	}
	return val[0].F, true, nil
}

// notFinite says what makes a value NaN or infinite, which KEDA would read as 0: a
// divisor that is 0, or a series that is not finite itself.
func (p *Plan) notFinite(ctx context.Context, expr parser.Expr, view *store.View, v float64) error {
	if divisor := p.zeroDivisor(ctx, expr, view); divisor != "" {
		return fmt.Errorf("%w: %s is %v: its divisor %s is 0; write clamp_min(%s, 1) in its place", ErrNotOneNumber, p.text, v, divisor, divisor)
	}
	for i := range p.selectors {
		if series := p.notFiniteSeries(ctx, &p.selectors[i], view); series != "" {
			return fmt.Errorf("%w: %s is %v: the series %s is; leave it out by a filter inside the aggregation, such as sum(%s >= 0)",
				ErrNotOneNumber, p.text, v, series, p.Selector(i))
		}
	}
	return fmt.Errorf("%w: %s is %v (such as a quantile of no observations); if that is no load, write (%s) >= 0, which is 0 then",
		ErrNotOneNumber, p.text, v, p.text)
}

// zeroDivisor returns the first divisor that is 0.
func (p *Plan) zeroDivisor(ctx context.Context, expr parser.Expr, view *store.View) (divisor string) {
	parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
		b, ok := n.(*parser.BinaryExpr)
		if !ok || divisor != "" || b.Op != parser.DIV && b.Op != parser.MOD || inSubquery(path) {
			return nil
		}
		val, _, done, err := p.evalVector(ctx, b.RHS.String(), view)
		if err != nil {
			return nil //nolint:nilerr // it is no better explained then
		}
		defer done()
		for _, e := range val {
			if e.H == nil && e.F == 0 {
				divisor = b.RHS.String()
			}
		}
		return nil
	})
	return divisor
}

func inSubquery(path []parser.Node) bool {
	for _, n := range path {
		if _, ok := n.(*parser.SubqueryExpr); ok {
			return true
		}
	}
	return false
}

// notFiniteSeries returns the first series of a selector that is NaN or infinite.
func (p *Plan) notFiniteSeries(ctx context.Context, s *selector, view *store.View) (series string) {
	val, _, done, err := p.evalVector(ctx, selectorText(s.matchers), view)
	if err != nil {
		return ""
	}
	defer done()
	for _, e := range val {
		if e.H == nil && !finite(e.F) {
			return e.Metric.String()
		}
	}
	return ""
}

func sameMatchers(a, b []*labels.Matcher) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Type != b[i].Type || a[i].Name != b[i].Name || a[i].Value != b[i].Value {
			return false
		}
	}
	return true
}
