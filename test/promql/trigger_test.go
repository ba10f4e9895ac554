package promql

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// trigger is a query of a script that is written as a trigger's metadata, in the
// only form that the runner's parser lets pass, that of a selector:
//
//	{metricQuery="sum(run{pod=a})", operationOverTime="avg", namespace="x"}
//
// A namespace is that of the ScaledObject, where it must be in the label of that
// name. The answer is one element without labels, or none.
type trigger struct {
	metricQuery string
	over        query.OverTime
	scope       query.Scope
	at          *int64 // the moment that the runner has put into the text, in ms
}

// triggerOf returns nil if the query is not written so.
func triggerOf(text string) *trigger {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	vs, ok := expr.(*parser.VectorSelector)
	if err != nil || !ok {
		return nil
	}
	md := map[string]string{}
	for _, m := range vs.LabelMatchers {
		md[m.Name] = m.Value
	}
	if md["metricQuery"] == "" {
		return nil
	}
	t := &trigger{metricQuery: md["metricQuery"], over: query.LastOne, at: vs.Timestamp}
	if over := md["operationOverTime"]; over != "" {
		t.over = query.OverTime(over)
	}
	if namespace := md["namespace"]; namespace != "" {
		t.scope = query.Scope{Label: "namespace", Value: namespace}
	}
	return t
}

// told is a trigger's plan as a query of the engine's.
type told struct {
	promql.Query
	f       *front
	trigger *trigger
	plan    *query.Plan
	moments []time.Time
	ranged  bool
}

// tell compiles a trigger; stub is any query.
func (f *front) tell(t *trigger, q storage.Queryable, stub promql.Query, moments ...time.Time) (told, error) {
	plan, err := f.engine(q).Compile(t.scope, t.metricQuery, t.over)
	return told{Query: stub, f: f, trigger: t, plan: plan, moments: moments}, err
}

func (q told) Exec(ctx context.Context) *promql.Result {
	var points []promql.FPoint
	for _, moment := range q.moments {
		at := moment
		if q.trigger.at != nil {
			at = time.UnixMilli(*q.trigger.at)
		}
		v, ok, err := q.plan.Eval(ctx, at)
		switch {
		case ok && err == nil:
			points = append(points, promql.FPoint{T: moment.UnixMilli(), F: v})
		case err != nil && !q.ranged:
			return &promql.Result{Err: err}
		}
	}
	switch {
	case q.ranged && len(points) > 0:
		return &promql.Result{Value: promql.Matrix{{Metric: labels.EmptyLabels(), Floats: points}}}
	case q.ranged:
		return &promql.Result{Value: promql.Matrix{}}
	case len(points) == 0:
		return &promql.Result{Value: promql.Vector{}}
	}
	q.f.answered++
	return &promql.Result{Value: promql.Vector{{Metric: labels.EmptyLabels(), T: points[0].T, F: points[0].F}}}
}

func (f *front) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, text string, start, end time.Time, step time.Duration) (promql.Query, error) {
	t := triggerOf(text)
	if t == nil {
		return f.QueryEngine.NewRangeQuery(ctx, q, opts, text, start, end, step)
	}
	stub, err := f.QueryEngine.NewRangeQuery(ctx, q, opts, "vector(0)", start, end, step)
	require.NoError(f.t, err)
	var moments []time.Time
	for at := start; !at.After(end); at = at.Add(step) {
		moments = append(moments, at)
	}
	made, err := f.tell(t, q, stub, moments...)
	made.ranged = true
	return made, err
}
