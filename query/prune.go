package query

import (
	"slices"

	"github.com/prometheus/prometheus/promql/parser"
)

// pruned is a query, or a part of one, without the selectors that match nothing.
type pruned struct {
	expr    parser.Expr // nil if nothing is left
	missing []int       // selectors without which the value of expr is a lower bound
	needed  []int       // selectors without which the query has no value, though others match
}

// prune takes selectors out of a query. An operand that can only add (of +, or)
// leaves the other one; a query of which nothing is left has nothing to read.
// Everywhere else the query has no value without the operand.
//
// PromQL's own answer to an empty operand, an empty result, can't be told from no
// load.
func prune(expr parser.Expr, selectors []selector, empty func(int) bool) pruned {
	p := pruner{selectors: selectors, empty: empty}
	return p.expr(expr)
}

type pruner struct {
	selectors []selector
	empty     func(int) bool
}

func (p *pruner) expr(expr parser.Expr) pruned {
	switch e := expr.(type) {
	case *parser.VectorSelector:
		i := slices.IndexFunc(p.selectors, func(s selector) bool { return s.node == e })
		if i >= 0 && p.empty(i) {
			return pruned{missing: []int{i}}
		}
	case *parser.MatrixSelector:
		if out := p.expr(e.VectorSelector); out.expr == nil {
			return out
		}
	case *parser.Call:
		return p.call(e)
	case *parser.BinaryExpr:
		return p.binary(e)
	}
	operand, with := operandOf(expr)
	if operand == nil {
		return pruned{expr: expr}
	}
	out := p.expr(operand)
	switch out.expr {
	case nil:
		return out
	case operand:
		out.expr = expr
	default:
		out.expr = with(out.expr)
	}
	if u, ok := expr.(*parser.UnaryExpr); ok && u.Op == parser.SUB && len(out.missing) > 0 {
		return pruned{needed: out.missing}
	}
	if agg, ok := expr.(*parser.AggregateExpr); ok && agg.Param != nil {
		if param := p.expr(agg.Param); param.expr != agg.Param { // it is a number, of which nothing can be missing
			return pruned{needed: slices.Concat(param.missing, param.needed)}
		}
	}
	return out
}

func (p *pruner) call(e *parser.Call) pruned {
	if absence(e) {
		return pruned{expr: e}
	}
	all := pruned{expr: e}
	args := slices.Clone(e.Args)
	for i, arg := range e.Args {
		out := p.expr(arg)
		all.missing = append(all.missing, out.missing...)
		all.needed = append(all.needed, out.needed...)
		if out.expr == nil && len(out.needed) == 0 {
			if e.Func.Name == "scalar" { // of nothing it is NaN
				return pruned{needed: out.missing}
			}
			return pruned{missing: out.missing}
		}
		args[i] = out.expr
	}
	if len(all.needed) > 0 {
		return pruned{needed: all.needed}
	}
	if !slices.Equal(args, e.Args) {
		c := *e
		c.Args = args
		all.expr = &c
	}
	return all
}

func (p *pruner) binary(e *parser.BinaryExpr) pruned {
	l, r := p.expr(e.LHS), p.expr(e.RHS)
	switch {
	case fills(e) && len(l.needed)+len(r.needed) == 0:
		return pruned{expr: e}
	case e.Op == parser.LUNLESS && len(l.needed) == 0 && (r.expr == nil || l.expr == nil):
		return l // with nothing, or with what has no value, nothing is taken away
	case len(l.needed)+len(r.needed) > 0:
		return pruned{needed: slices.Concat(l.needed, r.needed)}
	case l.expr == nil && r.expr == nil:
		return pruned{missing: slices.Concat(l.missing, r.missing)}
	case l.expr == nil, r.expr == nil:
		return p.oneSided(e, l, r)
	case len(r.missing) > 0 && falls(e.Op):
		return pruned{needed: r.missing}
	}
	both := pruned{expr: e, missing: slices.Concat(l.missing, r.missing)}
	if l.expr != e.LHS || r.expr != e.RHS {
		c := *e
		c.LHS, c.RHS = l.expr, r.expr
		both.expr = &c
	}
	return both
}

// falls tells whether the value of an operator may fall when its right operand rises,
// so that it is no lower bound while a part of that is missing.
func falls(op parser.ItemType) bool {
	switch op {
	case parser.SUB, parser.DIV, parser.MOD, parser.POW, parser.ATAN2:
		return true
	}
	return op.IsComparisonOperator()
}

// oneSided is for an operator of which one operand is empty.
func (p *pruner) oneSided(e *parser.BinaryExpr, l, r pruned) pruned {
	left, side, gone, other := l, e.RHS, r, e.LHS
	if l.expr == nil {
		left, side, gone, other = r, e.LHS, l, e.RHS
	}
	switch {
	case e.Op == parser.LOR:
		return left // as the query provides for
	case constant(other): // a number is no load
		return pruned{missing: gone.missing}
	case e.Op == parser.ADD && nonNegative(side):
		left.missing = append(left.missing, gone.missing...)
		return left
	}
	return pruned{needed: gone.missing}
}

// unfiltered returns a query whose comparisons let everything through that has a
// counterpart, and whether it had any. If it has a value where the query has none, the
// query's comparison removed it.
func unfiltered(expr parser.Expr) (_ parser.Expr, filters bool) {
	if operand, with := operandOf(expr); operand != nil {
		out, filters := unfiltered(operand)
		if !filters {
			return expr, false
		}
		return with(out), true
	}
	switch e := expr.(type) {
	case *parser.Call:
		if absence(e) { // of what is there it returns nothing
			return &parser.Call{Func: parserFunction("vector"), Args: parser.Expressions{&parser.NumberLiteral{Val: 1}}}, true
		}
		args := slices.Clone(e.Args)
		for i, arg := range e.Args {
			out, f := unfiltered(arg)
			args[i], filters = out, filters || f
		}
		if !filters {
			return e, false
		}
		c := *e
		c.Args = args
		return &c, true
	case *parser.BinaryExpr:
		c := *e
		var left, right bool
		c.LHS, left = unfiltered(e.LHS)
		c.RHS, right = unfiltered(e.RHS)
		compares := e.Op.IsComparisonOperator() && !e.ReturnBool && e.Type() == parser.ValueTypeVector
		switch c.ReturnBool = e.ReturnBool || compares; {
		case e.Op == parser.LUNLESS:
			return c.LHS, true
		case left || right || compares:
			return &c, true
		}
	}
	return expr, false
}

// absence tells whether a function has a value of what is not there.
func absence(e *parser.Call) bool {
	return e.Func.Name == "absent" || e.Func.Name == "absent_over_time"
}

// operandOf returns the operand of a node that has one, and how to make the node with
// another one; nil if the node has none, or several.
func operandOf(expr parser.Expr) (operand parser.Expr, with func(parser.Expr) parser.Expr) {
	switch e := expr.(type) {
	case *parser.SubqueryExpr:
		return e.Expr, func(x parser.Expr) parser.Expr { c := *e; c.Expr = x; return &c }
	case *parser.ParenExpr:
		return e.Expr, func(x parser.Expr) parser.Expr { c := *e; c.Expr = x; return &c }
	case *parser.StepInvariantExpr:
		return e.Expr, func(x parser.Expr) parser.Expr { c := *e; c.Expr = x; return &c }
	case *parser.UnaryExpr:
		return e.Expr, func(x parser.Expr) parser.Expr { c := *e; c.Expr = x; return &c }
	case *parser.AggregateExpr:
		return e.Expr, func(x parser.Expr) parser.Expr { c := *e; c.Expr = x; return &c }
	}
	return nil, nil
}
