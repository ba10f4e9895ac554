package scaler_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/fleet"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
)

var (
	modelSeed  = flag.Uint64("seed", 0, "the first of TestModel's histories; alone unless -seeds is given")
	modelSeeds = flag.Uint64("seeds", 0, "how many histories TestModel plays")
)

// TestModel has random histories of pods that start, serve, die, end, are replaced,
// hang, are cut off, fail scrapes and are rejected, and of a scaler that restarts
// with and without snapshot. Each second the reported values of all shapes of queries
// stay within the model's bounds, or the product holds.
//
// A failure names the seed: go test ./scaler -run TestModel -seed=7
func TestModel(t *testing.T) {
	first, n := *modelSeed, *modelSeeds
	if n == 0 {
		switch {
		case first > 0:
			n = 1
		case testing.Short():
			n = 15
		default:
			n = 40 // half a minute under the race detector on two idle cores
		}
	}
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			playModel(t, seed)
		})
	}
}

// modelled is the product as a Model drives it.
type modelled struct {
	*product
	m        *fleet.Model
	series   map[int][]labels.Labels
	values   []float64
	snapshot *snapshot
}

// pollEvery is how many seconds pass between two polls of a query. KEDA's are further
// apart; more histories show more than more polls.
const pollEvery = 3

func playModel(t *testing.T, seed uint64) {
	const seconds = 600.0
	m := fleet.NewModel(seed)
	p := &modelled{product: newProduct(t, -lead), m: m, series: map[int][]labels.Labels{}}
	for _, shape := range fleet.Shapes {
		p.ask(shape.Query)
	}
	holds, polls := 0, 0
	failed := map[int]bool{} // one failure of each shape is enough
	for m.Now < seconds {
		p.at(m.Now + fleet.Step)
		m.Advance(p)
		if m.Down {
			continue
		}
		p.work()
		if p.ticked != p.ms {
			continue
		}
		for i, shape := range fleet.Shapes {
			if (int(m.Now)+i)%pollEvery != 0 {
				continue
			}
			polls++
			v, err := p.poll(shape.Query)
			if err != nil {
				holds++
				continue
			}
			if b := m.Bounds(i); b.Excess(v) != 0 && !failed[i] {
				failed[i] = true
				t.Errorf("seed %d, second %v: %s is reported as %.6g, outside of the bounds %s\n%s\n%s",
					seed, m.Now, shape.Query, v, &b, m, strings.Join(m.Trace, "\n"))
				if testing.Verbose() {
					view, _ := p.server.Explain(t.Context(), scaler.Object{Namespace: "default", Name: p.refs[shape.Query].Name}, 50)
					for _, e := range view.Triggers {
						t.Logf("%+v", e.Now)
						for _, s := range e.Explanation.Selectors {
							for _, x := range s.Series {
								t.Logf("%s ended=%t late=%t %v at %.2f", x.Labels, x.Ended, x.Late, x.Value, float64(x.At.UnixMilli()-epoch)/1000)
							}
						}
						for _, r := range e.Results[max(0, len(e.Results)-40):] {
							t.Logf("%.2f %+v", float64(r.At-epoch)/1000, r)
						}
					}
				}
			}
		}
	}
	if holds > polls/2 {
		t.Logf("seed %d: held %d of %d", seed, holds, polls)
	}
}

// Push implements fleet.Product.
func (p *modelled) Push(s *fleet.Sender) bool {
	lsets := p.lsets(s)
	p.values = append(p.values[:0], s.Share)
	if !s.Gateway {
		p.values = append(p.values, s.Share, s.Share, s.Capacity, s.Free(s.Share), s.Total, s.A(s.Share), s.B(s.Share))
	}
	return p.push(millis(s.Born), lsets, p.values[:len(lsets)])
}

// lsets are a sender's series. A pod that does not push b has all others.
func (p *modelled) lsets(s *fleet.Sender) []labels.Labels {
	all := p.series[s.ID]
	if all != nil {
		return all
	}
	names := []string{"x", "running", "used", "capacity", "free", "y", "a", "b"}
	switch {
	case s.Gateway:
		names = []string{"queue"}
	case s.NoB:
		names = names[:7]
	}
	for _, name := range names {
		all = append(all, series(name, s.ID))
	}
	p.series[s.ID] = all
	return all
}

// End implements fleet.Product.
func (p *modelled) End(s *fleet.Sender) { p.end(p.lsets(s)) }

// SetFull implements fleet.Product.
func (p *modelled) SetFull(full bool) { p.full = full }

// Snapshot implements fleet.Product.
func (p *modelled) Snapshot() {
	if s := p.product.snapshot(); s != nil {
		p.snapshot = s
	}
}

// Restart implements fleet.Product. A snapshot that is older than the retention is
// none.
func (p *modelled) Restart(restore bool) (taken float64, ok bool) {
	s := p.snapshot
	if !restore || s == nil || p.now().Sub(s.taken) >= retention {
		s = nil
	}
	p.snapshot = nil
	p.product = p.restarted(p.m.Now, s)
	if s == nil {
		return 0, false
	}
	return float64(s.taken.UnixMilli()-epoch) / 1000, true
}
