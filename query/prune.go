package query

import (
	"reflect"
	"slices"

	"github.com/prometheus/prometheus/promql/parser"
)

// pruned is a query, or a part of one, without the selectors that match nothing.
type pruned struct {
	expr    parser.Expr // nil if nothing is left
	missing []int       // selectors without which the value of expr is a lower bound
	needed  []int       // selectors without which the query has no value, though others match
}

// prune removes selectors, which it gets with their numbers, from a query. An operand
// that can only add (of +, or) leaves the other one; a query of which nothing is left
// has nothing to read. Everywhere else the query has no value without the operand.
//
// PromQL's own answer to an empty operand, an empty result, can't be distinguished
// from no load.
func prune(expr parser.Expr, empty map[*parser.VectorSelector]int) pruned {
	var scalar, negative bool
	switch e := expr.(type) {
	case *parser.VectorSelector:
		if i, ok := empty[e]; ok {
			return pruned{missing: []int{i}}
		}
	case *parser.BinaryExpr:
		return pruneBinary(e, empty)
	case *parser.Call:
		if absence(e) {
			return pruned{expr: e}
		}
		scalar = e.Func.Name == "scalar"
	case *parser.UnaryExpr:
		negative = e.Op == parser.SUB
	}
	var all pruned
	nothing := false
	all.expr = rewritten(expr, func(operand parser.Expr) parser.Expr {
		out := prune(operand, empty)
		if agg, ok := expr.(*parser.AggregateExpr); ok && operand == agg.Param { // it is a number, of which nothing can be missing
			out = pruned{expr: out.expr, needed: slices.Concat(out.missing, out.needed)}
		}
		nothing = nothing || out.expr == nil && len(out.needed) == 0
		all.missing = append(all.missing, out.missing...)
		all.needed = append(all.needed, out.needed...)
		return out.expr
	})
	switch {
	case nothing && !scalar:
		return pruned{missing: all.missing}
	case nothing, negative && len(all.missing) > 0: // scalar makes NaN of nothing
		return pruned{needed: all.missing}
	case len(all.needed) > 0:
		return pruned{needed: all.needed}
	}
	return all
}

func pruneBinary(e *parser.BinaryExpr, empty map[*parser.VectorSelector]int) pruned {
	l, r := prune(e.LHS, empty), prune(e.RHS, empty)
	switch {
	case fills(e) && len(l.needed)+len(r.needed) == 0:
		return pruned{expr: e}
	case e.Op == parser.LUNLESS && len(l.needed) == 0 && (r.expr == nil || l.expr == nil):
		return l // with nothing, or with what has no value, nothing is taken away
	case len(l.needed)+len(r.needed) > 0:
		return pruned{needed: slices.Concat(l.needed, r.needed)}
	case l.expr == nil && r.expr == nil:
		return pruned{missing: slices.Concat(l.missing, r.missing)}
	case l.expr == nil:
		return oneSided(e.Op, l, e.LHS, r, e.RHS)
	case r.expr == nil:
		return oneSided(e.Op, r, e.RHS, l, e.LHS)
	case len(r.missing) > 0 && falls(e.Op):
		return pruned{needed: r.missing}
	}
	both := map[parser.Expr]parser.Expr{e.LHS: l.expr, e.RHS: r.expr}
	out := rewritten(e, func(operand parser.Expr) parser.Expr { return both[operand] })
	return pruned{expr: out, missing: slices.Concat(l.missing, r.missing)}
}

// falls reports whether the value of an operator may fall when its right operand rises,
// so that it is no lower bound while a part of that is missing.
func falls(op parser.ItemType) bool {
	switch op {
	case parser.SUB, parser.DIV, parser.MOD, parser.POW, parser.ATAN2:
		return true
	}
	return op.IsComparisonOperator()
}

// oneSided is for an operator of which one operand (before) is empty, and the other one
// is left.
func oneSided(op parser.ItemType, empty pruned, before parser.Expr, left pruned, other parser.Expr) pruned {
	switch {
	case op == parser.LOR:
		return left // as the query provides for
	case constant(other): // a number is no load
		return pruned{missing: empty.missing}
	case op == parser.ADD && nonNegative(before):
		left.missing = append(left.missing, empty.missing...)
		return left
	}
	return pruned{needed: empty.missing}
}

// unfiltered returns a query whose comparisons let everything through that has a
// counterpart, and the query itself if it has none. If it has a value where the query
// has none, the query's comparison removed it.
func unfiltered(expr parser.Expr) parser.Expr {
	switch e := expr.(type) {
	case *parser.Call:
		if absence(e) { // of what is there it returns nothing
			return &parser.Call{Func: parser.Functions["vector"], Args: parser.Expressions{&parser.NumberLiteral{Val: 1}}}
		}
	case *parser.BinaryExpr:
		if e.Op == parser.LUNLESS {
			return unfiltered(e.LHS)
		}
		if e.Op.IsComparisonOperator() && !e.ReturnBool && e.Type() == parser.ValueTypeVector {
			compared := *e
			compared.ReturnBool = true
			expr = &compared
		}
	}
	return rewritten(expr, unfiltered)
}

// absence reports whether a function has a value of what is not there.
func absence(e *parser.Call) bool {
	return e.Func.Name == "absent" || e.Func.Name == "absent_over_time"
}

// rewritten returns a copy of a node whose operands are what f returns for them, and
// the node itself if f changes none. Operands are the fields that are expressions.
func rewritten(expr parser.Expr, f func(parser.Expr) parser.Expr) parser.Expr {
	out := reflect.New(reflect.TypeOf(expr).Elem())
	out.Elem().Set(reflect.ValueOf(expr).Elem())
	changed := false
	rewrite := func(operand *parser.Expr) {
		if before := *operand; before != nil {
			*operand = f(before)
			changed = changed || *operand != before
		}
	}
	for _, field := range out.Elem().Fields() {
		if !field.CanInterface() {
			continue
		}
		switch operands := field.Addr().Interface().(type) {
		case *parser.Expr:
			rewrite(operands)
		case *parser.Expressions:
			*operands = slices.Clone(*operands)
			for i := range *operands {
				rewrite(&(*operands)[i])
			}
		}
	}
	if !changed {
		return expr
	}
	return out.Interface().(parser.Expr)
}
