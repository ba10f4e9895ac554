package promql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
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
	asked    int      // queries that a plan was made for
	hidden   []string // of these, those with another value than the engine's, because of series that don't push
	ahead    int      // queries that read what comes after their moment, which no plan does
	answered int      // of these, with a number
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
	plan, err := f.engine(q).Compile(query.Scope{}, text, query.LastOne)
	if err != nil || choosesStep(expr) || plan.String() != expr.String() {
		return inner, nil // a range, a string, or text that we take to mean something else, such as a bare selector
	}
	if at, ok := present(expr, at); ok {
		f.asked++
		want, err := f.QueryEngine.NewInstantQuery(ctx, pushing{q, at.UnixMilli(), f.lookback.Milliseconds()}, opts, text, at)
		return asked{Query: inner, f: f, want: want, plan: plan, at: at}, err
	}
	f.ahead++
	return inner, nil
}

// present returns a moment at which a query has the same value as at another one,
// and reads nothing from after it: a plan's view shows no sample from after its
// moment. ok is false if there is none.
func present(expr parser.Expr, at time.Time) (_ time.Time, ok bool) {
	ms, newest, fixed := at.UnixMilli(), at.UnixMilli(), true
	parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
		if call, ok := n.(*parser.Call); ok && len(call.Args) == 0 {
			fixed = fixed && call.Func.Name == "pi"
		}
		vs, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		if vs.Smoothed { // reads the sample after its window
			newest, fixed = math.MaxInt64, false
			return nil
		}
		time, pinned := ms, false
		for _, n := range append(path, vs) {
			switch n := n.(type) {
			case *parser.SubqueryExpr:
				if n.Timestamp != nil {
					time, pinned = *n.Timestamp, true
				}
				time -= n.OriginalOffset.Milliseconds()
			case *parser.VectorSelector:
				if n.Timestamp != nil {
					time, pinned = *n.Timestamp, true
				}
				time -= n.OriginalOffset.Milliseconds()
			}
		}
		newest, fixed = max(newest, time), fixed && pinned
		return nil
	})
	return time.UnixMilli(newest), newest == ms || fixed
}

// engine is ours over a script's storage.
func (f *front) engine(q storage.Queryable) *query.Engine {
	if f.engines[q] == nil {
		ours, err := query.New(query.Options{Store: q.(interface{ ours() *store.Store }).ours(), Lookback: f.lookback, Retention: max(f.lookback, 2*time.Minute),
			MaxRetention: math.MaxInt64})
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

// asked is a query of which a plan is asked, too. It answers as the engine does,
// and fails the test if the plan does not agree with the one that is wanted.
type asked struct {
	promql.Query
	f    *front
	want promql.Query
	plan *query.Plan
	at   time.Time
}

func (q asked) Exec(ctx context.Context) *promql.Result {
	res := q.want.Exec(ctx)
	defer q.want.Close()
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
		got, ok, err := q.plan.Eval(ctx, q.at)
		switch {
		case res.Err != nil:
			require.Error(q.f.t, err, q)
		case len(want) == 0:
			require.NoError(q.f.t, err, q)
			require.False(q.f.t, ok, q)
		case len(want) > 1 || histogram || math.IsNaN(want[0]) || math.IsInf(want[0], 0):
			require.True(q.f.t, errors.Is(err, query.ErrNotOneNumber), "%s: %v", q, err)
		default:
			require.NoError(q.f.t, err, q)
			require.True(q.f.t, ok, q)
			require.Equal(q.f.t, math.Float64bits(want[0]), math.Float64bits(got), "%s: %v and %v", q, want[0], got)
			q.f.answered++
		}
	}
	all := q.Query.Exec(ctx)
	if textOf(all.Value) != textOf(res.Value) {
		q.f.hidden = append(q.f.hidden, q.String())
	}
	return all
}

// textOf is a result without its moment.
func textOf(v parser.Value) string {
	switch v := v.(type) {
	case promql.Scalar:
		return fmt.Sprint(v.V)
	case promql.Vector:
		var elements []string
		for _, s := range v {
			elements = append(elements, fmt.Sprint(s.Metric, s.F, s.H))
		}
		slices.Sort(elements)
		return strings.Join(elements, "\n")
	}
	return fmt.Sprint(v)
}

// added are the functions over a window that tell what happened in it. To all
// others a plan shows only series that push: a pod that died has no average.
var added = []string{"rate", "increase", "irate", "count_over_time", "sum_over_time", "changes", "resets", "absent_over_time"}

// pushing is a storage of which functions over a window, but for those, see only
// the series that an instant selector sees at a moment.
type pushing struct {
	storage.Queryable
	at, lookback int64 // ms
}

func (p pushing) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := p.Queryable.Querier(mint, maxt)
	if err != nil {
		return nil, err
	}
	now, err := p.Queryable.Querier(p.at-p.lookback+1, p.at)
	return pushingQuerier{q, now}, err
}

type pushingQuerier struct {
	storage.Querier
	now storage.Querier
}

func (q pushingQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	all := q.Querier.Select(ctx, sorted, hints, ms...)
	if hints == nil || hints.Range == 0 || slices.Contains(added, hints.Func) {
		return all
	}
	live := map[string]bool{}
	for set := q.now.Select(ctx, false, nil, ms...); set.Next(); {
		it := set.At().Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			stale := false
			if kind == chunkenc.ValFloat {
				_, v := it.At()
				stale = value.IsStaleNaN(v)
			}
			live[set.At().Labels().String()] = !stale
		}
	}
	return &pushingSet{all, live}
}

type pushingSet struct {
	storage.SeriesSet
	live map[string]bool
}

func (s *pushingSet) Next() bool {
	for s.SeriesSet.Next() {
		if s.live[s.SeriesSet.At().Labels().String()] {
			return true
		}
	}
	return false
}
