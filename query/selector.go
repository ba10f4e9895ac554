package query

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// selector is one selector of a query, and what its place in the query says
// about its series.
type selector struct {
	node     *parser.VectorSelector
	matchers []*labels.Matcher
	// window is how far back the query reads the series, in ms: range, offset and
	// the ranges of the subqueries around the selector; 0 for an instant selector.
	window int64
	// accumulates is set under functions that add up what happened in the window.
	// The window shows load that moved to another pod only when it is full, so the
	// samples in the window count whatever became of their series.
	accumulates bool
	// zeroCounts is set where a series at zero changes the result: under count, avg
	// or min, as a divisor, in 1 - x. Elsewhere (sum, max) it adds nothing.
	zeroCounts bool
	// optional is set where the query itself provides for an empty selector: right
	// of unless, in absent and absent_over_time, under or.
	optional bool
}

// accumulating are the functions of which selector.accumulates speaks.
var accumulating = map[string]bool{
	"rate": true, "increase": true, "irate": true, "count_over_time": true, "sum_over_time": true, "changes": true, "resets": true, heldRate: true,
	"absent_over_time": true, // of a window in which a series pushed it is empty
}

func accumulates(function string) bool { return accumulating[function] }

// selectorsOf returns the selectors of a query, in the order in which they stand.
func selectorsOf(expr parser.Expr) (out []selector) {
	parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
		if vs, ok := n.(*parser.VectorSelector); ok {
			s := selector{node: vs, matchers: vs.LabelMatchers}
			s.place(path)
			out = append(out, s)
		}
		return nil
	})
	return out
}

// place reads the path from the root to the selector.
func (s *selector) place(path []parser.Node) {
	window := s.node.OriginalOffset
	child := parser.Node(s.node)
	matrix := false
	// From the selector up to the first aggregation over all series, a series at zero
	// must be zero, or nothing, at each node to change nothing by being there.
	zero := true
	s.zeroCounts = true
	for _, n := range slices.Backward(path) {
		switch n := n.(type) {
		case *parser.MatrixSelector:
			matrix = true
			window += n.Range
		case *parser.SubqueryExpr:
			window += n.Range + n.OriginalOffset
		case *parser.Call:
			s.accumulates = s.accumulates || matrix && accumulating[n.Func.Name]
			matrix = false
			s.optional = s.optional || absence(n)
			zero = zero && neutral[n.Func.Name]
		case *parser.AggregateExpr:
			zero = zero && (n.Op == parser.SUM || n.Op == parser.MAX)
			if zero && len(n.Grouping) == 0 && !n.Without {
				s.zeroCounts = false
			}
		case *parser.BinaryExpr:
			s.optional = s.optional || n.Op == parser.LOR || n.Op == parser.LUNLESS && n.RHS == child || fills(n)
			zero = zero && n.LHS == child && zeroStays(n)
		}
		child = n
	}
	s.window = max(window, 0).Milliseconds()
}

// fills reports whether an operator has values for operands that are missing.
func fills(b *parser.BinaryExpr) bool {
	m := b.VectorMatching
	return m != nil && (m.FillValues.LHS != nil || m.FillValues.RHS != nil)
}

// neutral are the functions that make zero of zero.
var neutral = map[string]bool{
	"rate": true, "increase": true, "irate": true, "delta": true, "idelta": true, "deriv": true, heldRate: true,
	"avg_over_time": true, "min_over_time": true, "max_over_time": true, "sum_over_time": true, "last_over_time": true,
	"abs": true, "ceil": true, "floor": true, "round": true, "sqrt": true, "sort": true, "sort_desc": true, "clamp_max": true,
	"label_replace": true, "label_join": true,
}

// zeroStays reports whether an operator makes zero, or nothing, of a zero on its left.
func zeroStays(b *parser.BinaryExpr) bool {
	switch b.Op {
	case parser.MUL, parser.DIV, parser.MOD, parser.LUNLESS, parser.LAND:
		return true
	}
	return b.Op.IsComparisonOperator() && !b.ReturnBool && constant(b.RHS)
}
