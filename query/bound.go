package query

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// subqueryStep is the step of a subquery without one. The retention is short, so
// that Prometheus' minute would see one or two points.
const subqueryStep = 5 * time.Second

// bounded is an engine that refuses subqueries of too many points before it
// evaluates them. Within a window the engine looks neither at the clock nor at
// whether its caller is gone: thirty years in milliseconds would take a core for
// hours. Samples of plain ranges are those that are stored, and need no such bound.
type bounded struct {
	engine *promql.Engine
	most   int
}

// NewInstantQuery implements promql.QueryEngine.
func (b bounded) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, text string, at time.Time) (promql.Query, error) {
	made, err := b.engine.NewInstantQuery(ctx, q, opts, text, at)
	return b.check(made, err, 1)
}

// NewRangeQuery implements promql.QueryEngine.
func (b bounded) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, text string, start, end time.Time, step time.Duration) (promql.Query, error) {
	made, err := b.engine.NewRangeQuery(ctx, q, opts, text, start, end, step)
	return b.check(made, err, float64(end.Sub(start)/step)+1)
}

func (b bounded) check(q promql.Query, err error, steps float64) (promql.Query, error) {
	if err != nil {
		return nil, err
	}
	if n := subqueryPoints(q.Statement().(*parser.EvalStmt).Expr, steps); n > float64(b.most) {
		q.Close()
		return nil, fmt.Errorf("the subqueries have %.4g points for each series, of %d that an evaluation may have (--query-max-samples): "+
			"shorten their ranges or lengthen their steps, for example [5m:5s]", n, b.most)
	}
	return q, nil
}

// subqueryPoints returns how many points the windows of all subqueries have that
// are evaluated so many times. What does not depend on the time is evaluated once.
func subqueryPoints(n parser.Node, times float64) (points float64) {
	switch e := n.(type) {
	case *parser.StepInvariantExpr:
		times = 1
	case *parser.SubqueryExpr:
		step := e.Step
		if step == 0 {
			step = subqueryStep
		}
		times *= float64(e.Range/step) + 1
		points = times
	}
	for child := range parser.ChildrenIter(n) {
		points += subqueryPoints(child, times)
	}
	return points
}
