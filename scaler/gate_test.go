package scaler

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// gate is the PromQL function test_gate(0) for one test at a time: it returns 0, and
// does at the nth evaluation what the test wants. With an error the evaluation fails.
type gate struct {
	t  *testing.T
	n  atomic.Int64
	do atomic.Pointer[func(n int64) error]
}

var (
	gateOnce sync.Once
	gateNow  atomic.Pointer[gate]
)

func newGate(t *testing.T) *gate {
	t.Helper()
	gateOnce.Do(func() {
		parser.Functions["test_gate"] = &parser.Function{Name: "test_gate", ArgTypes: []parser.ValueType{parser.ValueTypeScalar}, ReturnType: parser.ValueTypeScalar}
		promql.FunctionCalls["test_gate"] = func([]promql.Vector, promql.Matrix, parser.Expressions, *promql.EvalNodeHelper) (promql.Vector, annotations.Annotations) {
			g := gateNow.Load()
			n := g.n.Add(1)
			if do := g.do.Load(); do != nil {
				if err := (*do)(n); err != nil {
					panic(err) // which the engine makes the evaluation's error
				}
			}
			return promql.Vector{{F: 0}}, nil
		}
	})
	g := &gate{t: t}
	gateNow.Store(g)
	return g
}

// rig returns a rig whose engine has the function.
func (g *gate) rig(o Options) *rig {
	g.t.Helper()
	return newRig(g.t, o)
}

// at calls f once, at the nth evaluation from now on.
func (g *gate) at(nth int64, f func() error) {
	g.n.Store(0)
	do := func(n int64) error {
		if n == nth {
			return f()
		}
		return nil
	}
	g.do.Store(&do)
}

// evaluations returns how many there were since the last call.
func (g *gate) evaluations() int64 { return g.n.Swap(0) }
