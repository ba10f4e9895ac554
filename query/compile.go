package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
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
	expr, err := e.parse(text)
	wrapped := kserveWrapped.FindStringSubmatch(text)
	switch {
	case err == nil:
		wrapped = nil
	case wrapped == nil:
		return nil, badf("%q is neither PromQL nor op(metric{label=value}): %w", text, err)
	default:
		if expr, err = e.unwrapKServe(wrapped[1], wrapped[2], wrapped[3]); err != nil {
			return nil, err
		}
	}
	if err := useStoredNames(expr); err != nil {
		return nil, err
	}
	if err := scope.apply(expr); err != nil {
		return nil, err
	}
	_, bare := inner(expr).(*parser.VectorSelector)
	if expr, err = applyOverTime(expr, over, e.opts.Retention); err != nil {
		return nil, err
	}
	if bare || wrapped != nil {
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

// parse reads PromQL or otel-add-on's grammar. The error is that of PromQL.
func (e *Engine) parse(text string) (parser.Expr, error) {
	expr, err := e.parser.ParseExpr(text)
	if err == nil {
		return expr, nil
	}
	if expr, ok := parseAddOn(e.parser, text); ok {
		return expr, nil
	}
	return nil, AsSyntaxError(err)
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
	for i := range p.selectors {
		s := &p.selectors[i]
		if !scope.bounds(s.matchers) {
			return nil, badf("%q: %w", text, errUnscoped)
		}
		p.metric = cmp.Or(p.metric, nameOf(s.matchers))
		p.span = max(p.span, time.Duration(s.window)*time.Millisecond)
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		call, ok := n.(*parser.Call)
		p.moves = p.moves || ok && (len(call.Args) == 0 || call.Func.Name == "timestamp")
		return nil
	})
	if p.span > e.opts.MaxRetention {
		return nil, badf("%q: %w: those of the last %s (range, offset and subquery together), and samples are stored for %s (--max-retention); "+
			"write a shorter window, such as [5m]", text, ErrWindow, model.Duration(p.span), model.Duration(e.opts.MaxRetention))
	}
	q, err := e.bounded().NewInstantQuery(context.Background(), nil, nil, text, time.Time{})
	if err != nil {
		return nil, badf("%q: %w", text, err)
	}
	q.Close()
	return p, nil
}

// nameOf returns the name of the metric that matchers select, empty if they name none.
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
	all, ok := errors.AsType[parser.ParseErrors](err)
	if !ok || len(all) == 0 {
		return err
	}
	first := all[0]
	offset := min(max(int(first.PositionRange.Start), 0), len(first.Query))
	return &SyntaxError{Text: first.Query, Offset: offset, Err: first.Err}
}
