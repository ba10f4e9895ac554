package promql

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// front has each instant query of a script answered by our plans as well, and
// fails the test if what they tell KEDA is not what the engine's result means.
type front struct {
	promql.QueryEngine
	t        *testing.T // of the script that runs
	idle     bool       // no plan is asked
	lookback time.Duration
	asked    int // queries that a plan was made for
	answered int // of these, with a number
	engines  map[storage.Queryable]*query.Engine
}

func (f *front) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, text string, at time.Time) (promql.Query, error) {
	inner, err := f.QueryEngine.NewInstantQuery(ctx, q, opts, text, at)
	if err != nil || f.idle {
		return inner, err
	}
	if t := triggerOf(text); t != nil {
		return f.tell(t, q, inner, at)
	}
	expr := inner.Statement().(*parser.EvalStmt).Expr
	plan, err := f.engine(q).Compile(text, query.LastOne)
	if err != nil || choosesStep(expr) || plan.String() != expr.String() {
		return inner, nil // a range, a string, or text that we take to mean something else, such as a bare selector
	}
	f.asked++
	return asked{Query: inner, f: f, plan: plan, at: at}, nil
}

// engine is ours over a script's storage.
func (f *front) engine(q storage.Queryable) *query.Engine {
	if f.engines[q] == nil {
		ours, err := query.New(query.Options{Store: q.(interface{ ours() *store.Store }).ours(), Lookback: f.lookback, Retention: max(f.lookback, 2*time.Minute)})
		require.NoError(f.t, err)
		f.engines[q] = ours
	}
	return f.engines[q]
}

// choosesStep finds subqueries whose step is the engine's to choose: ours is made
// for a retention of minutes.
func choosesStep(expr parser.Expr) bool {
	found := false
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if sub, ok := n.(*parser.SubqueryExpr); ok && sub.Step == 0 && sub.StepExpr == nil {
			found = true
		}
		return nil
	})
	return found
}

type asked struct {
	promql.Query
	f    *front
	plan *query.Plan
	at   time.Time
}

func (q asked) Exec(ctx context.Context) *promql.Result {
	res := q.Query.Exec(ctx)
	var want []float64
	histogram := false
	switch v := res.Value.(type) {
	case promql.Scalar:
		want = []float64{v.V}
	case promql.Vector:
		for _, s := range v {
			want = append(want, s.F)
			histogram = histogram || s.H != nil
		}
	}
	// Twice, as the first answer may stand.
	for range 2 {
		got, err := q.plan.Eval(ctx, q.at)
		var empty *query.EmptyError
		switch {
		case res.Err != nil:
			require.Error(q.f.t, err, q)
		case len(want) == 0:
			require.ErrorAs(q.f.t, err, &empty, q)
		case len(want) > 1 || histogram || math.IsNaN(want[0]) || math.IsInf(want[0], 0):
			require.True(q.f.t, errors.Is(err, query.ErrNotOneNumber), "%s: %v", q, err)
		default:
			require.NoError(q.f.t, err, q)
			require.Equal(q.f.t, math.Float64bits(want[0]), math.Float64bits(got), "%s: %v and %v", q, want[0], got)
			q.f.answered++
		}
	}
	return res
}
