package query

import (
	"slices"

	"github.com/prometheus/prometheus/promql/parser"
)

// monotone reports whether a query's result can only rise when series are added, as
// long as their values are not negative, which an evaluation looks at. Where this
// is proven, a result without some series is a lower bound.
func monotone(expr parser.Expr) bool {
	if constant(expr) {
		return true
	}
	switch e := inner(expr).(type) {
	case *parser.SubqueryExpr:
		return monotone(e.Expr)
	case *parser.AggregateExpr:
		switch e.Op {
		case parser.MAX, parser.COUNT:
			return bySeries(e.Expr) || monotone(e.Expr)
		case parser.SUM:
			return (bySeries(e.Expr) || monotone(e.Expr)) && nonNegative(e.Expr)
		}
	case *parser.BinaryExpr:
		if !monotone(e.LHS) || fills(e) && !fillsZero(e) { // a series may replace a higher value
			return false
		}
		switch e.Op {
		case parser.ADD:
			return monotone(e.RHS)
		case parser.LOR:
			return monotone(e.RHS) && (!constant(e.RHS) || nonNegative(e.LHS))
		case parser.MUL:
			return monotone(e.RHS) && nonNegative(e.LHS) && nonNegative(e.RHS)
		case parser.DIV:
			return constant(e.RHS) && nonNegative(e.RHS)
		case parser.SUB, parser.GTR, parser.GTE:
			return constant(e.RHS)
		}
	case *parser.Call:
		switch e.Func.Name {
		case "clamp", "clamp_min", "clamp_max", "ceil", "floor", "round", "scalar", "sort", "sort_desc":
			return monotone(e.Args[0]) && !slices.ContainsFunc(e.Args[1:], func(x parser.Expr) bool { return !constant(x) })
		case "max_over_time", "count_over_time":
			return monotone(e.Args[0])
		case "min_over_time", "avg_over_time", "last_over_time":
			// As far as the series are there at the same times: a value of a time that had
			// none may be lower than all others.
			return monotone(e.Args[0]) && unfiltered(e.Args[0]) == e.Args[0]
		case "sum_over_time":
			return monotone(e.Args[0]) && nonNegative(e.Args[0])
		}
	}
	return false
}

// constant reports whether an expression reads no series.
func constant(expr parser.Expr) bool { return len(parser.ExtractSelectors(expr)) == 0 }

// bySeries reports whether each element of a vector comes from one series alone, so
// that further series add elements and change none.
func bySeries(expr parser.Expr) bool {
	switch e := inner(expr).(type) {
	case *parser.VectorSelector, *parser.MatrixSelector:
		return true
	case *parser.SubqueryExpr:
		return bySeries(e.Expr)
	case *parser.UnaryExpr:
		return bySeries(e.Expr)
	case *parser.BinaryExpr:
		return constant(e.RHS) && bySeries(e.LHS) || constant(e.LHS) && bySeries(e.RHS) && e.Op != parser.LUNLESS
	case *parser.Call:
		ofSeveral := func(arg parser.Expr) bool { return !constant(arg) && !bySeries(arg) }
		return !constant(e) && !ofAll[e.Func.Name] && !slices.ContainsFunc(e.Args, ofSeveral)
	}
	return false
}

// ofAll are functions that make an element of several series.
var ofAll = map[string]bool{
	"absent": true, "absent_over_time": true, "scalar": true, "histogram_quantile": true, "histogram_quantiles": true, "histogram_fraction": true,
}

// fillsZero reports whether an operator takes zero for operands that are missing, and
// the operands can't be less.
func fillsZero(b *parser.BinaryExpr) bool {
	zero := func(fill *float64) bool { return fill == nil || *fill == 0 }
	fill := b.VectorMatching.FillValues
	return zero(fill.LHS) && zero(fill.RHS) && nonNegative(b.LHS) && nonNegative(b.RHS)
}

// signed are functions that return negative values of values that are not negative.
var signed = map[string]bool{
	"delta": true, "idelta": true, "deriv": true, "predict_linear": true, "double_exponential_smoothing": true,
	"ln": true, "log2": true, "log10": true, "sin": true, "cos": true, "tan": true, "asin": true, "acos": true, "atan": true,
	"sinh": true, "tanh": true, "asinh": true, "atanh": true, "sgn": true,
}

// nonNegative reports whether an expression's values can't be negative if those of
// the series are not.
func nonNegative(expr parser.Node) bool {
	switch e := expr.(type) {
	case *parser.NumberLiteral:
		return e.Val >= 0
	case *parser.UnaryExpr:
		return false
	case *parser.BinaryExpr:
		switch {
		case e.Op == parser.SUB, e.Op == parser.ATAN2:
			return false
		case e.Op.IsComparisonOperator() && e.ReturnBool:
			return true
		case e.Op.IsComparisonOperator(), e.Op == parser.LAND, e.Op == parser.LUNLESS:
			return nonNegative(e.LHS)
		}
	case *parser.Call:
		if signed[e.Func.Name] {
			return false
		}
	}
	negative := func(operand parser.Node) bool { return !nonNegative(operand) }
	return !slices.ContainsFunc(parser.Children(expr), negative)
}
