package query

import (
	"slices"

	"github.com/prometheus/prometheus/promql/parser"
)

// monotone tells whether a query's result can only rise when series are added, as
// long as their values are not negative, which an evaluation looks at. Where this
// is proven, a result without some series is a lower bound.
func monotone(expr parser.Expr) bool {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return monotone(e.Expr)
	case *parser.StepInvariantExpr:
		return monotone(e.Expr)
	case *parser.AggregateExpr:
		switch e.Op {
		case parser.SUM:
			return (bySeries(e.Expr) || monotone(e.Expr)) && nonNegative(e.Expr)
		case parser.MAX, parser.COUNT:
			return bySeries(e.Expr) || monotone(e.Expr)
		}
	case *parser.BinaryExpr:
		left, right := constant(e.LHS) || monotone(e.LHS), constant(e.RHS) || monotone(e.RHS)
		if fills(e) && !fillsZero(e) {
			return false // a series may replace a higher value
		}
		switch e.Op {
		case parser.ADD:
			return left && right
		case parser.LOR:
			return left && right && (!constant(e.RHS) || nonNegative(e.LHS))
		case parser.MUL:
			return left && right && nonNegative(e.LHS) && nonNegative(e.RHS)
		case parser.DIV:
			return left && constant(e.RHS) && nonNegative(e.RHS)
		case parser.SUB, parser.GTR, parser.GTE:
			return left && constant(e.RHS)
		}
	case *parser.Call:
		switch e.Func.Name {
		case "vector":
			return constant(e.Args[0])
		case "clamp", "clamp_min", "clamp_max", "ceil", "floor", "round", "scalar", "sort", "sort_desc":
			return monotone(e.Args[0]) && !slices.ContainsFunc(e.Args[1:], func(x parser.Expr) bool { return !constant(x) })
		case "max_over_time", "count_over_time":
			sub, ok := e.Args[0].(*parser.SubqueryExpr)
			return ok && monotone(sub.Expr)
		case "min_over_time", "avg_over_time", "last_over_time":
			// As far as the series are there at the same times: a value of a time that had
			// none may be lower than all others.
			sub, ok := e.Args[0].(*parser.SubqueryExpr)
			return ok && monotone(sub.Expr) && !hasFilter(sub.Expr)
		case "sum_over_time":
			sub, ok := e.Args[0].(*parser.SubqueryExpr)
			return ok && monotone(sub.Expr) && nonNegative(sub.Expr)
		}
	case *parser.NumberLiteral:
		return true
	}
	return false
}

func hasFilter(expr parser.Expr) bool {
	_, filters := unfiltered(expr)
	return filters
}

// constant tells whether an expression reads no series.
func constant(expr parser.Expr) bool { return len(selectorsOf(expr)) == 0 }

// bySeries tells whether each element of a vector comes from one series alone, so
// that further series add elements and change none.
func bySeries(expr parser.Expr) bool {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return bySeries(e.Expr)
	case *parser.StepInvariantExpr:
		return bySeries(e.Expr)
	case *parser.UnaryExpr:
		return bySeries(e.Expr)
	case *parser.VectorSelector:
		return true
	case *parser.BinaryExpr:
		return constant(e.RHS) && bySeries(e.LHS) || constant(e.LHS) && bySeries(e.RHS) && e.Op != parser.LUNLESS
	case *parser.Call:
		series := false
		for _, arg := range e.Args {
			switch a := arg.(type) {
			case *parser.MatrixSelector:
				series = true
			case *parser.SubqueryExpr:
				series = bySeries(a.Expr)
			default:
				if !constant(a) && !bySeries(a) {
					return false
				}
				series = series || bySeries(a)
			}
		}
		return series && !ofAll[e.Func.Name]
	}
	return false
}

// ofAll are functions that make an element of several series.
var ofAll = map[string]bool{
	"absent": true, "absent_over_time": true, "scalar": true, "histogram_quantile": true, "histogram_quantiles": true, "histogram_fraction": true,
}

// fillsZero tells whether an operator takes zero for operands that are missing, and
// the operands can't be less.
func fillsZero(b *parser.BinaryExpr) bool {
	for _, v := range []*float64{b.VectorMatching.FillValues.LHS, b.VectorMatching.FillValues.RHS} {
		if v != nil && *v != 0 {
			return false
		}
	}
	return nonNegative(b.LHS) && nonNegative(b.RHS)
}

// signed are functions that return negative values of values that are not negative.
var signed = map[string]bool{
	"delta": true, "idelta": true, "deriv": true, "predict_linear": true, "double_exponential_smoothing": true,
	"ln": true, "log2": true, "log10": true, "sin": true, "cos": true, "tan": true, "asin": true, "acos": true, "atan": true,
	"sinh": true, "tanh": true, "asinh": true, "atanh": true, "sgn": true, "clamp": true, "clamp_max": true,
}

// nonNegative tells whether an expression's values can't be negative if those of
// the series are not.
func nonNegative(expr parser.Expr) bool {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return nonNegative(e.Expr)
	case *parser.StepInvariantExpr:
		return nonNegative(e.Expr)
	case *parser.NumberLiteral:
		return e.Val >= 0
	case *parser.VectorSelector, *parser.MatrixSelector:
		return true
	case *parser.SubqueryExpr:
		return nonNegative(e.Expr)
	case *parser.AggregateExpr:
		return nonNegative(e.Expr)
	case *parser.BinaryExpr:
		switch {
		case e.Op == parser.SUB, e.Op == parser.ATAN2:
			return false
		case e.Op.IsComparisonOperator() && e.ReturnBool:
			return true
		case e.Op.IsComparisonOperator(), e.Op == parser.LAND, e.Op == parser.LUNLESS:
			return nonNegative(e.LHS)
		}
		return nonNegative(e.LHS) && nonNegative(e.RHS)
	case *parser.Call:
		if signed[e.Func.Name] {
			return e.Func.Name == "clamp_max" && nonNegative(e.Args[0]) && nonNegative(e.Args[1])
		}
		for _, arg := range e.Args {
			if arg.Type() != parser.ValueTypeString && !nonNegative(arg) {
				return false
			}
		}
		return true
	}
	return false
}
