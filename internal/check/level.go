package check

import (
	"slices"

	"github.com/prometheus/prometheus/promql/parser"
)

// levels are the aggregations whose result doesn't grow with the replicas.
var levels = []parser.ItemType{parser.AVG, parser.MIN, parser.MAX, parser.QUANTILE}

// isLevel tells whether a query surely yields a level, such as a latency, and
// not a load that replicas share: it is the same however many there are. A
// comparison, or the sum that KServe puts around it, changes nothing of that.
func isLevel(expr parser.Expr) bool {
	switch e := unwrapped(expr).(type) {
	case *parser.BinaryExpr:
		return compares(e) && isLevel(e.LHS)
	case *parser.AggregateExpr:
		return slices.Contains(levels, e.Op) || e.Op == parser.SUM && isLevel(e.Expr)
	case *parser.Call:
		return e.Func.Name == "histogram_quantile"
	}
	return false
}

// shares warns of a level where the HPA wants value / target replicas, which with
// a latency of twice its target are 2, not twice as many as there are.
func (r *report) shares(t *trigger, key, remedy string) {
	if t.level {
		r.warnf(t.at(key), "is the same however many replicas there are, and the HPA takes it for a load that they share: it wants value / target replicas; write %s", remedy)
	}
}

// nothing warns of what a query makes of no requests and of no data: a quantile
// of no observations is NaN, and "or vector(0)" is a zero where holding is safe.
func (r *report) nothing(t *trigger, key string, expr parser.Expr) {
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		switch e := node.(type) {
		case *parser.Call:
			if e.Func.Name == "histogram_quantile" && !slices.ContainsFunc(path, compares) {
				r.warnf(t.at(key), "is NaN while there are no requests, which is no number: KEDA then holds, and replicas without load stay; write histogram_quantile(...) >= 0, which is 0 then")
			}
		case *parser.BinaryExpr:
			if call, ok := unwrapped(e.RHS).(*parser.Call); ok && e.Op == parser.LOR && call.Func.Name == "vector" {
				r.warnf(t.at(key), "or %s stands in for data that is missing, so a busy model whose metrics stop is scaled by it; leave it out, and it is held (onMissing: value says so where it is meant)", call)
			}
		}
		return nil
	})
}

func unwrapped(expr parser.Expr) parser.Expr {
	for {
		switch e := expr.(type) {
		case *parser.ParenExpr:
			expr = e.Expr
		case *parser.StepInvariantExpr:
			expr = e.Expr
		default:
			return expr
		}
	}
}

func compares(node parser.Node) bool {
	e, ok := node.(*parser.BinaryExpr)
	return ok && e.Op.IsComparisonOperator() && !e.ReturnBool
}
