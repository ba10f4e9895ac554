package query

import (
	"math"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/kahansum"
)

// aggregation makes one number of many, exactly as Prometheus' engine does
// (promql/engine.go, evaluator.aggregation): the order of the operations, and
// with it the last bit, is a matter of this file and of nothing else. One type
// for all operators needs no memory of its own.
type aggregation struct {
	op   parser.ItemType
	n    float64 // values so far
	v, c float64 // the number as far as it is made; c compensates for what a sum has lost

	// Of an average: once its sum overflows, v is the mean.
	incremental bool
}

// aggregations are the operators that aggregation knows, and those of otel-add-on's
// grammar.
var aggregations = []parser.ItemType{parser.SUM, parser.AVG, parser.MIN, parser.MAX, parser.COUNT}

func (a *aggregation) add(v float64) {
	a.n++
	if a.n == 1 {
		a.v = v // a sum starts with it, not with zero: 0 + -0 is 0
		return
	}
	switch a.op {
	case parser.SUM:
		a.v, a.c = kahansum.Inc(v, a.v, a.c)
	case parser.AVG:
		a.average(v)
	case parser.MIN:
		if a.v > v || math.IsNaN(a.v) { // any number is better than NaN
			a.v = v
		}
	case parser.MAX:
		if a.v < v || math.IsNaN(a.v) {
			a.v = v
		}
	}
}

func (a *aggregation) average(v float64) {
	if !a.incremental {
		sum, c := kahansum.Inc(v, a.v, a.c)
		if !math.IsInf(sum, 0) {
			a.v, a.c = sum, c
			return
		}
		a.incremental = true
		a.v /= a.n - 1
		a.c /= a.n - 1
	}
	q := (a.n - 1) / a.n
	a.v, a.c = kahansum.Inc(v/a.n, q*a.v, q*a.c)
}

// result is of at least one value.
func (a *aggregation) result() float64 {
	switch {
	case a.op == parser.COUNT:
		return a.n
	case a.op == parser.AVG && !a.incremental:
		return a.v/a.n + a.c/a.n
	case a.op == parser.SUM, a.op == parser.AVG:
		return a.v + a.c
	}
	return a.v // and not + 0, which would make 0 of -0
}
