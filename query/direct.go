package query

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// errFallBack says that the direct evaluator can't answer and the engine must.
// It is also returned where the engine would fail, which then reports why.
var errFallBack = errors.New("not supported by the direct evaluator")

// checkEvery is after how many series an evaluation looks at the clock.
const checkEvery = 1024

// direct is a query of one of the shapes
//
//	agg(selector)
//	agg(function(selector[range]))
//	agg(function(selector[range]) and selector)
//
// which is answered straight from the store. The engine copies each series'
// samples, makes a matrix of them and groups it, which costs most of its time.
// Answers agree with the engine's to the last bit: the series come in the same
// order, the functions are the engine's own, and the aggregations do the same
// arithmetic (promql/engine.go, evaluator.aggregation).
type direct struct {
	op       parser.ItemType
	selector *parser.VectorSelector

	// Of a function over a range; call is nil if there is none.
	call     promql.FunctionCall
	args     parser.Expressions
	window   int64 // ms
	liveOnly bool  // only series that have a value now count
	// accumulates says that samples of series that no longer push count; see selector.
	accumulates bool
}

// overRange are the functions of one range that make at most one float of floats and
// look at nothing but the samples. The engine drops the metric's name from what they
// return, which is why newDirect wants to know it.
var overRange = map[string]bool{
	"rate": true, "increase": true, "delta": true, "irate": true, "idelta": true, heldRate: true,
	"avg_over_time": true, "min_over_time": true, "max_over_time": true, "sum_over_time": true,
	"count_over_time": true, "last_over_time": true,
}

// newDirect returns nil if the query has none of the shapes.
func newDirect(expr parser.Expr) *direct {
	agg, ok := inner(expr).(*parser.AggregateExpr)
	if !ok || !slices.Contains(aggregations, agg.Op) || len(agg.Grouping) > 0 || agg.Without {
		return nil
	}
	d := &direct{op: agg.Op}
	expr = inner(agg.Expr)
	and, ok := expr.(*parser.BinaryExpr)
	if ok {
		if and.Op != parser.LAND || and.VectorMatching.On || len(and.VectorMatching.MatchingLabels) > 0 {
			return nil
		}
		d.liveOnly = true
		expr = inner(and.LHS)
	}
	var matrix *parser.MatrixSelector
	if call, ok := expr.(*parser.Call); ok && overRange[call.Func.Name] {
		if matrix, ok = inner(call.Args[0]).(*parser.MatrixSelector); !ok {
			return nil
		}
		d.call, d.args = promql.FunctionCalls[call.Func.Name], parser.Expressions{matrix}
		d.window, d.accumulates = matrix.Range.Milliseconds(), accumulating[call.Func.Name]
		expr = matrix.VectorSelector
	}
	if d.selector, ok = expr.(*parser.VectorSelector); !ok {
		return nil
	}
	// A selector that has matchers and nothing else, no offset and none of what may be
	// invented yet, prints as this one does.
	plain := plainSelector(d.selector.LabelMatchers)
	switch {
	case d.selector.String() != plain.String(),
		d.liveOnly && (matrix == nil || inner(and.RHS).String() != plain.String()),
		matrix != nil && (d.window <= 0 || plain.Name == "" || matrix.String() != (&parser.MatrixSelector{VectorSelector: plain, Range: matrix.Range}).String()):
		return nil
	}
	return d
}

// plainSelector returns a selector of nothing but matchers.
func plainSelector(ms []*labels.Matcher) *parser.VectorSelector {
	return &parser.VectorSelector{LabelMatchers: ms, Name: nameOf(ms)}
}

// inner returns an expression without the parentheses around it.
func inner(expr parser.Expr) parser.Expr {
	if p, ok := expr.(*parser.ParenExpr); ok {
		return inner(p.Expr)
	}
	return expr
}

// eval returns the value as of the instant, and false if it is empty. The error is
// errFallBack if the engine must evaluate.
func (d *direct) eval(ctx context.Context, in *store.Instant, o *Options, began time.Time) (float64, bool, error) {
	if ctx.Err() != nil {
		return 0, false, errFallBack
	}
	var sc *scratch
	if d.call != nil {
		sc = scratches.Get().(*scratch)
		defer scratches.Put(sc)
		sc.enh.Ts = in.View.At
	}
	agg := aggregation{op: d.op}
	for i := range in.Len() {
		if i%checkEvery == checkEvery-1 {
			if ctx.Err() != nil {
				return 0, false, errFallBack
			}
			if time.Since(began) > o.Timeout {
				return 0, false, promql.ErrQueryTimeout("expression evaluation")
			}
		}
		v, ok, err := d.value(in, i, sc)
		// At least so many samples the engine has in memory after as many series; where
		// that may be too many, it decides. With `and` a series stands on both sides and in
		// the result.
		samples := i + 1
		if sc != nil {
			samples = 3*samples + len(sc.points)
		}
		if err != nil || samples > o.MaxSamples {
			return 0, false, errFallBack
		}
		if ok {
			agg.add(v)
		}
	}
	if agg.n == 0 {
		return 0, false, nil
	}
	return agg.result(), true, nil
}

// value returns what the i-th series brings to the aggregation.
func (d *direct) value(in *store.Instant, i int, sc *scratch) (v float64, ok bool, err error) {
	if d.call == nil {
		return in.Last(i)
	}
	// Without its name a series must still differ from the others.
	if in.Has(i, "__type__") || in.Has(i, "__unit__") {
		return 0, false, errFallBack
	}
	if sc.points, err = in.Range(i, d.window, d.accumulates, sc.points[:0]); err != nil {
		return 0, false, err
	}
	if d.liveOnly {
		// Asked even without points: a histogram weighs on the engine's limit.
		if _, ok, err = in.Last(i); !ok {
			return 0, false, err
		}
	}
	if len(sc.points) == 0 {
		return 0, false, nil
	}
	floats := sc.matrix[0].Floats[:0]
	for _, p := range sc.points {
		floats = append(floats, promql.FPoint(p))
	}
	sc.matrix[0].Floats = floats
	out, _ := d.call(nil, sc.matrix, d.args, &sc.enh)
	sc.enh.Out = out[:0]
	if len(out) == 0 {
		return 0, false, nil
	}
	return out[0].F, true, nil
}

// scratch is the room that an evaluation of ranges takes.
type scratch struct {
	points []store.Point
	matrix promql.Matrix
	enh    promql.EvalNodeHelper
}

var scratches = sync.Pool{New: func() any {
	return &scratch{matrix: make(promql.Matrix, 1), enh: promql.EvalNodeHelper{Out: make(promql.Vector, 0, 1)}}
}}
