package query

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// exampleSelector stands in messages for what a user could write.
const exampleSelector = "vllm:num_requests_running"

// maxQueryLength bounds what is parsed and cached, in bytes.
const maxQueryLength = 16 << 10

func badf(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrBadQuery, fmt.Errorf(format, args...))
}

// compile reads the text as PromQL; if it isn't, as otel-add-on's grammar; if
// it isn't that either, as KServe's wrapping of one of the two. Text that is
// valid PromQL always means what PromQL says.
func (e *Engine) compile(text string, over OverTime, scope Scope) (*Plan, error) {
	if strings.TrimSpace(text) == "" {
		return nil, badf("the query is empty: write a metric or a PromQL query, such as sum(%s)", exampleSelector)
	}
	if len(text) > maxQueryLength {
		return nil, badf("the query has %d bytes; at most %d are read", len(text), maxQueryLength)
	}
	expr, wrapped, err := e.parse(text)
	if err != nil {
		return nil, err
	}
	if err := useStoredNames(expr); err != nil {
		return nil, err
	}
	if err := scope.apply(expr); err != nil {
		return nil, err
	}
	bare := isSelector(expr)
	if expr, err = applyOverTime(expr, over, e.opts.Retention); err != nil {
		return nil, err
	}
	if bare || wrapped {
		// otel-add-on sums where no operator is written.
		expr = &parser.AggregateExpr{Op: parser.SUM, Expr: expr}
	}
	switch expr.Type() {
	case parser.ValueTypeVector, parser.ValueTypeScalar:
	case parser.ValueTypeMatrix:
		return nil, badf("the query %q is a range of samples, not a number: put a function around it, such as sum(rate(%s))", text, text)
	default:
		return nil, badf("the query %q is a %s, not a number", text, parser.DocumentedType(expr.Type()))
	}
	return e.plan(expr, scope)
}

func (e *Engine) parse(text string) (expr parser.Expr, wrapped bool, err error) {
	expr, promErr := e.parser.ParseExpr(text)
	if promErr == nil {
		return expr, false, nil
	}
	if expr, ok := parseAddOn(e.parser, text); ok {
		return expr, false, nil
	}
	if expr, wrapped, err = unwrapKServe(e.parser, text); wrapped {
		return expr, true, err
	}
	return nil, false, badf("%q is neither PromQL nor op(metric{label=value}): %w", text, AsSyntaxError(promErr))
}

// plan checks the rewritten query by parsing it as the engine will, and notes
// what must be known about it later.
func (e *Engine) plan(expr parser.Expr, scope Scope) (*Plan, error) {
	text := expr.String()
	expr, err := e.parser.ParseExpr(text)
	if err != nil {
		return nil, badf("the query was understood as %q, which is not valid: %w", text, AsSyntaxError(err))
	}
	p := &Plan{e: e, text: text, expr: expr, scope: scope, selectors: selectorsOf(expr), monotone: monotone(expr)}
	p.span = spanOf(p.selectors)
	subqueries := false
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.SubqueryExpr:
			subqueries = true
		case *parser.Call:
			p.moves = p.moves || len(n.Args) == 0 || n.Func.Name == "timestamp"
		case *parser.VectorSelector:
			if !scope.bounds(n.LabelMatchers) {
				err = badf("%q: %w", text, errUnscoped)
			}
			if p.metric == "" {
				p.metric = metricName(n)
			}
		}
		return nil
	})
	if err == nil && p.span > e.opts.MaxRetention {
		err = badf("%q: %w", text, &windowError{p.span, e.opts.MaxRetention})
	}
	if err == nil && subqueries {
		err = e.boundSubqueries(text)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (e *Engine) boundSubqueries(text string) error {
	q, err := e.bounded().NewInstantQuery(context.Background(), nil, nil, text, time.Time{})
	if err != nil {
		return badf("%q: %w", text, err)
	}
	q.Close()
	return nil
}

func isSelector(expr parser.Expr) bool {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return isSelector(e.Expr)
	case *parser.VectorSelector:
		return true
	}
	return false
}

func metricName(vs *parser.VectorSelector) string { return nameOf(vs.LabelMatchers) }

func nameOf(ms []*labels.Matcher) string {
	for _, m := range ms {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

// AsSyntaxError makes a SyntaxError of a parser's error, if it says where the
// fault is.
func AsSyntaxError(err error) error {
	var all parser.ParseErrors
	if !errors.As(err, &all) || len(all) == 0 {
		return err
	}
	first := all[0]
	return &SyntaxError{
		Text:   first.Query,
		Offset: min(max(int(first.PositionRange.Start), 0), len(first.Query)),
		Err:    first.Err,
	}
}
