package httpapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/stats"
)

// maxPoints is how many steps a range query may have.
const maxPoints = 11000

var errTruncated = errors.New("results truncated due to limit")

func (a *API) query(r *request) (answer, error) {
	at, err := momentOf(r.form.Get("time"), a.opts.Now())
	if err != nil {
		return answer{}, err
	}
	text := r.form.Get("query")
	if r.sum {
		text = a.sumOf(text)
	}
	if r.sum && a.opts.Decide != nil {
		result, err := a.decided(r, text, at)
		if strings.HasPrefix(r.URL.Path, kedaPrefix+"/") || !errors.Is(err, ErrNoDecision) {
			return result, err
		}
		// With --http-sum-selectors others than KEDA ask as well, for more than a number.
	}
	return a.run(r, text, func(opts promql.QueryOpts) (promql.Query, error) {
		return a.opts.Engine.NewInstantQuery(r.ctx, r.queryable, opts, text, at)
	})
}

// decided answers with the scaler's decision about the query as of now. KEDA's own
// time is cut to whole seconds and by another clock, so it only labels the value.
func (a *API) decided(r *request, text string, at time.Time) (answer, error) {
	v, err := a.opts.Decide(r.ctx, r.namespace, text)
	if err != nil {
		return answer{}, err
	}
	value := promql.Vector{{T: at.UnixMilli(), F: v}}
	return answer{query: text, data: func(o *output) {
		o.buf = append(o.buf, `{"resultType":"vector","result":`...)
		o.value(value)
		o.buf = append(o.buf, '}')
	}}, nil
}

// sumOf puts a sum around a bare selector, which yields one element per pod:
// KEDA refuses more than one, and KServe's users write nothing but the metric.
// Everything else stays as it is, text that does not parse included.
func (a *API) sumOf(text string) string {
	expr, err := a.opts.Parser.ParseExpr(text)
	for err == nil {
		switch e := expr.(type) {
		case *parser.ParenExpr:
			expr = e.Expr
			continue
		case *parser.VectorSelector:
			return "sum(" + e.String() + ")"
		}
		break
	}
	return text
}

func (a *API) queryRange(r *request) (answer, error) {
	start, err := parseTime(r.form.Get("start"))
	if err != nil {
		return answer{}, badParameter("start", err)
	}
	end, err := parseTime(r.form.Get("end"))
	if err != nil {
		return answer{}, badParameter("end", err)
	}
	if end.Before(start) {
		return answer{}, badParameter("end", errors.New("end timestamp must not be before start time"))
	}
	step, err := parseDuration(r.form.Get("step"))
	if err != nil {
		return answer{}, badParameter("step", err)
	}
	// The engine steps in milliseconds: below one it would never get on.
	if step < time.Millisecond {
		return answer{}, badParameter("step", errors.New("zero or negative query resolution step widths are not accepted. Try a positive integer"))
	}
	// Unsigned, as the ends of time are further apart than int64 reaches.
	if span := uint64(end.UnixMilli()) - uint64(start.UnixMilli()); span/uint64(step.Milliseconds()) > maxPoints { //nolint:gosec // see above
		return answer{}, badf("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)")
	}
	text := r.form.Get("query")
	return a.run(r, text, func(opts promql.QueryOpts) (promql.Query, error) {
		return a.opts.Engine.NewRangeQuery(r.ctx, r.queryable, opts, text, start, end, step)
	})
}

// run evaluates what build makes. The result is the engine's until the answer is
// closed.
func (a *API) run(r *request, text string, build func(promql.QueryOpts) (promql.Query, error)) (answer, error) {
	limit, err := r.limit()
	if err != nil {
		return answer{}, err
	}
	var lookback time.Duration
	if s := r.form.Get("lookback_delta"); s != "" {
		if lookback, err = parseDuration(s); err != nil {
			return answer{}, badf("error parsing lookback delta duration: %w", err)
		}
	}
	statistics := r.form.Get("stats")
	q, err := build(promql.NewPrometheusQueryOpts(statistics == "all", lookback, nil))
	if err != nil {
		return answer{}, ofConstruction(err)
	}
	result := answer{query: text, close: q.Close}
	res := q.Exec(a.withOrigin(r))
	if res.Err != nil {
		return result, res.Err
	}
	result.warnings = res.Warnings
	value, cut := truncate(res.Value, limit)
	if cut {
		result.warnings.Add(errTruncated)
	}
	addStatsWarning(&result.warnings, statistics)
	a.addWindowWarning(&result.warnings, text)
	result.data = func(o *output) {
		o.buf = append(o.buf, `{"resultType":"`...)
		o.buf = append(append(o.buf, value.Type()...), `","result":`...)
		o.value(value)
		if statistics != "" {
			o.buf = append(o.buf, `,"stats":`...)
			o.json(stats.NewQueryStats(q.Stats()))
		}
		o.buf = append(o.buf, '}')
	}
	return result, nil
}

// withOrigin tells the engine's log of failures who asked.
func (a *API) withOrigin(r *request) context.Context {
	return promql.NewOriginContext(r.ctx, map[string]any{"httpRequest": map[string]string{
		"client": r.RemoteAddr, "method": r.Method, "path": r.URL.Path,
	}})
}

func addStatsWarning(to *annotations.Annotations, value string) {
	if value != "" && value != "true" && value != "all" {
		to.Add(fmt.Errorf("value %q for parameter \"stats\" is deprecated and will be rejected in the next major release, use \"true\" or \"all\"", value))
	}
}

// addWindowWarning warns of a query that reads samples of a longer window than the
// retention: only series that a trigger reads have them.
func (a *API) addWindowWarning(to *annotations.Annotations, text string) {
	expr, err := a.opts.Parser.ParseExpr(text)
	if err != nil {
		return // the engine has parsed it
	}
	if window := windowOf(expr); window > a.opts.Retention {
		to.Add(fmt.Errorf("%w: samples are stored for %s (--retention); the query reads the last %s",
			annotations.PromQLWarning, model.Duration(a.opts.Retention), model.Duration(window)))
	}
}

// windowOf returns how far back a query reads samples, with the ranges and offsets
// of the subqueries around a selector.
func windowOf(expr parser.Expr) (longest time.Duration) {
	parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
		selector, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		window := selector.OriginalOffset
		for _, outer := range path {
			switch outer := outer.(type) {
			case *parser.MatrixSelector:
				window += outer.Range
			case *parser.SubqueryExpr:
				window += outer.Range + outer.OriginalOffset
			}
		}
		longest = max(longest, window)
		return nil
	})
	return longest
}

// truncate leaves the first elements of what has elements.
func truncate(v parser.Value, limit int) (_ parser.Value, cut bool) {
	switch v := v.(type) {
	case promql.Vector:
		if limit > 0 && len(v) > limit {
			return v[:limit], true
		}
	case promql.Matrix:
		if limit > 0 && len(v) > limit {
			return v[:limit], true
		}
	}
	return v, false
}
