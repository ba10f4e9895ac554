package query

import (
	"math"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/kahansum"
)

// aggregation makes one number of many, exactly as Prometheus' engine does
// (promql/engine.go, evaluator.aggregation): the order of the operations, and
// with it the last bit, is a matter of this file and of nothing else.
type aggregation interface {
	add(v float64)
	result() float64 // of at least one value
}

// newAggregation returns nil if the operator is not one of ours.
func newAggregation(op parser.ItemType) aggregation {
	switch op {
	case parser.SUM:
		return &sum{}
	case parser.AVG:
		return &avg{}
	case parser.MIN:
		return &extreme{better: func(v, best float64) bool { return best > v }}
	case parser.MAX:
		return &extreme{better: func(v, best float64) bool { return best < v }}
	case parser.COUNT:
		return &count{}
	}
	return nil
}

type count struct{ n float64 }

func (a *count) add(float64)     { a.n++ }
func (a *count) result() float64 { return a.n }

// sum starts with the first value, not with zero: 0 + -0 is 0.
type sum struct {
	started bool
	v, c    float64 // c compensates for what v has lost
}

func (a *sum) add(v float64) {
	if !a.started {
		a.started, a.v = true, v
		return
	}
	a.v, a.c = kahansum.Inc(v, a.v, a.c)
}

func (a *sum) result() float64 { return a.v + a.c }

type extreme struct {
	started bool
	v       float64
	better  func(v, best float64) bool
}

// add takes any number for a NaN.
func (a *extreme) add(v float64) {
	if !a.started || a.better(v, a.v) || math.IsNaN(a.v) {
		a.started, a.v = true, v
	}
}

func (a *extreme) result() float64 { return a.v }

// avg divides the sum, until the sum overflows; from then on it keeps a mean.
type avg struct {
	n           float64
	v, c        float64 // the sum; c compensates
	mean        float64
	incremental bool
}

func (a *avg) add(v float64) {
	a.n++
	if a.n == 1 {
		a.v = v
		return
	}
	if !a.incremental {
		sum, c := kahansum.Inc(v, a.v, a.c)
		if !math.IsInf(sum, 0) {
			a.v, a.c = sum, c
			return
		}
		a.incremental = true
		a.mean = a.v / (a.n - 1)
		a.c /= a.n - 1
	}
	q := (a.n - 1) / a.n
	a.mean, a.c = kahansum.Inc(v/a.n, q*a.mean, q*a.c)
}

func (a *avg) result() float64 {
	if a.incremental {
		return a.mean + a.c
	}
	return a.v/a.n + a.c/a.n
}
