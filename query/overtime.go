package query

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// OverTime is otel-add-on's operationOverTime: what is made of each series'
// samples within the retention before the series are put together.
type OverTime string

// The operations over time.
const (
	LastOne OverTime = "last_one" // the newest sample
	Avg     OverTime = "avg"
	Min     OverTime = "min"
	Max     OverTime = "max"
	Count   OverTime = "count"
	// Rate is the increase per second between the first and the last sample
	// stored, counter resets counted as restarts from zero. Unlike PromQL's
	// rate() it knows no window and extrapolates nothing.
	Rate OverTime = "rate"
)

// heldRate is the name of Rate as a PromQL function, so that the query as
// evaluated can be written down, and evaluated, like any other.
const heldRate = "held_rate"

var overTimeFunctions = map[OverTime]string{
	Avg: "avg_over_time", Min: "min_over_time", Max: "max_over_time", Count: "count_over_time", Rate: heldRate,
}

// ParseOverTime reads a trigger's operationOverTime; empty means LastOne.
func ParseOverTime(s string) (OverTime, error) {
	o := OverTime(cmp.Or(s, string(LastOne)))
	if _, ok := overTimeFunctions[o]; ok || o == LastOne {
		return o, nil
	}
	return "", fmt.Errorf("%q is none of last_one, avg, min, max, count, rate", s)
}

func init() {
	// The engine looks functions up in this map only.
	promql.FunctionCalls[heldRate] = evalHeldRate
}

// functions returns PromQL's and Rate.
func functions() map[string]*parser.Function {
	all := maps.Clone(parser.Functions)
	all[heldRate] = &parser.Function{
		Name: heldRate, ArgTypes: []parser.ValueType{parser.ValueTypeMatrix}, ReturnType: parser.ValueTypeVector,
	}
	return all
}

func evalHeldRate(_ []promql.Vector, m promql.Matrix, _ parser.Expressions, enh *promql.EvalNodeHelper) (promql.Vector, annotations.Annotations) {
	if len(m) == 0 || len(m[0].Floats) < 2 {
		return enh.Out, nil
	}
	points := m[0].Floats
	first, last := points[0], points[len(points)-1]
	increase, prev := 0.0, first.F
	for _, p := range points[1:] {
		if p.F < prev {
			prev = 0 // the counter restarted
		}
		increase += p.F - prev
		prev = p.F
	}
	return append(enh.Out, promql.Sample{F: increase / (float64(last.T-first.T) / 1000)}), nil
}

// applyOverTime puts the operation between a query's selector and its grouping.
// Series that are over have no say: without the `and`, a pod that is gone would
// stay in the result for the whole retention.
func applyOverTime(expr parser.Expr, over OverTime, window time.Duration) (parser.Expr, error) {
	if over == LastOne {
		return expr, nil
	}
	switch e := inner(expr).(type) {
	case *parser.AggregateExpr:
		if slices.Contains(aggregations, e.Op) && e.Grouping == nil && !e.Without {
			inner, err := applyOverTime(e.Expr, over, window)
			if err != nil {
				return nil, err
			}
			e.Expr = inner
			return e, nil
		}
	case *parser.VectorSelector:
		return &parser.BinaryExpr{
			Op: parser.LAND,
			LHS: &parser.Call{
				Func: functions()[overTimeFunctions[over]],
				Args: parser.Expressions{&parser.MatrixSelector{VectorSelector: e, Range: window}},
			},
			RHS:            e,
			VectorMatching: &parser.VectorMatching{Card: parser.CardManyToMany},
		}, nil
	}
	return nil, badf("operationOverTime=%s goes with a metric, such as %s or sum(%s), not with a whole PromQL query: "+
		"leave operationOverTime out and write the function into metricQuery, such as sum(%s(%s[1m]))",
		over, exampleSelector, exampleSelector, strings.ReplaceAll(overTimeFunctions[over], heldRate, "rate"), exampleSelector)
}
