package httpapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/stats"
)

// maxPoints is how many steps a range query may have.
const maxPoints = 11000

var errTruncated = errors.New("results truncated due to limit")

func (a *API) query(r *request) (answer, error) {
	now := a.opts.Now()
	at, err := momentOf(r.form.Get("time"), now)
	if err != nil {
		return answer{}, err
	}
	text := r.form.Get("query")
	if r.sum {
		text = a.sumOf(text)
	}
	result, err := a.run(r, text, func(opts promql.QueryOpts) (promql.Query, error) {
		return a.opts.Engine.NewInstantQuery(r.ctx, r.queryable, opts, text, at)
	})
	if err == nil && r.sum && at.Equal(now) {
		err = a.decide(r, text, result.vector)
	}
	if err == nil && r.sum && a.opts.Held != nil {
		err = a.opts.Held(now)
	}
	return result, err
}

// decide sees to it that KEDA reads no less than what it would be told of a
// trigger with that query; vector is nil if the result is something else.
func (a *API) decide(r *request, text string, vector promql.Vector) error {
	switch {
	case vector != nil && len(vector) == 0 && a.opts.Missing != nil:
		return a.opts.Missing(r.ctx, r.namespace, text)
	case len(vector) == 1 && vector[0].H == nil && a.opts.AtLeast != nil:
		least, err := a.opts.AtLeast(r.ctx, r.namespace, text)
		vector[0].F = max(vector[0].F, least)
		return err
	}
	return nil
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
	result.vector, _ = res.Value.(promql.Vector) // not nil without elements, too
	value, cut := truncate(res.Value, limit)
	if cut {
		result.warnings.Add(errTruncated)
	}
	addStatsWarning(&result.warnings, statistics)
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
