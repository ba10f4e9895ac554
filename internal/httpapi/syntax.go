package httpapi

import (
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

func (a *API) formatQuery(r *request) (answer, error) {
	expr, err := a.opts.Parser.ParseExpr(r.form.Get("query"))
	if err != nil {
		return answer{}, badParameter("query", err)
	}
	return plain(expr.Pretty(0)), nil
}

func (a *API) parseQuery(r *request) (answer, error) {
	expr, err := a.opts.Parser.ParseExpr(r.form.Get("query"))
	if err != nil {
		return answer{}, badParameter("query", err)
	}
	return plain(tree(expr)), nil
}

// node is an expression as Prometheus' tree view knows it.
type node map[string]any

// tree turns an expression into nodes; nil stays nil.
func tree(expr parser.Expr) any {
	switch e := expr.(type) {
	case *parser.AggregateExpr:
		return node{
			"type": "aggregation", "op": e.Op.String(), "expr": tree(e.Expr), "param": tree(e.Param),
			"grouping": names(e.Grouping), "without": e.Without,
		}
	case *parser.BinaryExpr:
		return node{
			"type": "binaryExpr", "op": e.Op.String(), "lhs": tree(e.LHS), "rhs": tree(e.RHS),
			"matching": matching(e.VectorMatching), "bool": e.ReturnBool,
		}
	case *parser.Call:
		args := make([]any, len(e.Args))
		for i, arg := range e.Args {
			args[i] = tree(arg)
		}
		return node{"type": "call", "args": args, "func": node{
			"name": e.Func.Name, "argTypes": e.Func.ArgTypes, "variadic": e.Func.Variadic, "returnType": e.Func.ReturnType,
		}}
	case *parser.VectorSelector:
		return selector("vectorSelector", e)
	case *parser.MatrixSelector:
		n := selector("matrixSelector", e.VectorSelector.(*parser.VectorSelector)) //nolint:errcheck // the parser puts nothing else there
		n["range"], n["rangeExpr"] = e.Range.Milliseconds(), duration(e.RangeExpr)
		return n
	case *parser.SubqueryExpr:
		return node{
			"type": "subquery", "expr": tree(e.Expr),
			"range": e.Range.Milliseconds(), "rangeExpr": duration(e.RangeExpr),
			"offset": e.OriginalOffset.Milliseconds(), "offsetExpr": duration(e.OriginalOffsetExpr),
			"step": e.Step.Milliseconds(), "stepExpr": duration(e.StepExpr),
			"timestamp": e.Timestamp, "startOrEnd": startOrEnd(e.StartOrEnd),
		}
	case *parser.ParenExpr:
		return node{"type": "parenExpr", "expr": tree(e.Expr)}
	case *parser.UnaryExpr:
		return node{"type": "unaryExpr", "op": e.Op.String(), "expr": tree(e.Expr)}
	case *parser.NumberLiteral:
		return node{"type": "numberLiteral", "val": number(e)}
	case *parser.StringLiteral:
		return node{"type": "stringLiteral", "val": e.Val}
	case *parser.DurationExpr:
		return duration(e)
	}
	return nil
}

func selector(kind string, e *parser.VectorSelector) node {
	matchers := make([]node, len(e.LabelMatchers))
	for i, m := range e.LabelMatchers {
		matchers[i] = matcher(m)
	}
	return node{
		"type": kind, "name": e.Name, "matchers": matchers,
		"offset": e.OriginalOffset.Milliseconds(), "offsetExpr": duration(e.OriginalOffsetExpr),
		"timestamp": e.Timestamp, "startOrEnd": startOrEnd(e.StartOrEnd),
		"anchored": e.Anchored, "smoothed": e.Smoothed,
	}
}

func matcher(m *labels.Matcher) node {
	return node{"name": m.Name, "value": m.Value, "type": m.Type.String()}
}

func matching(m *parser.VectorMatching) any {
	if m == nil {
		return nil
	}
	return node{
		"card": m.Card.String(), "labels": names(m.MatchingLabels), "on": m.On, "include": names(m.Include),
		"fillValues": node{"lhs": m.FillValues.LHS, "rhs": m.FillValues.RHS},
	}
}

// duration is what stands where a duration may be an expression.
func duration(expr parser.Expr) any {
	switch e := expr.(type) {
	case *parser.DurationExpr:
		if e == nil { // a field of this type that is not set
			return nil
		}
		return node{"type": "durationExpr", "op": e.Op.String(), "lhs": duration(e.LHS), "rhs": duration(e.RHS), "wrapped": e.Wrapped}
	case *parser.NumberLiteral:
		if e == nil {
			return nil
		}
		return node{"type": "numberLiteral", "val": number(e), "duration": e.Duration}
	}
	return tree(expr)
}

func number(e *parser.NumberLiteral) string { return strconv.FormatFloat(e.Val, 'f', -1, 64) }

func names(all []string) []string { return append([]string{}, all...) }

func startOrEnd(item parser.ItemType) any {
	if item == 0 {
		return nil
	}
	return item.String()
}
