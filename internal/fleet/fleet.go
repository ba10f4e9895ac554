package fleet

import (
	"math"
	"math/rand/v2"
)

// Step is how far a simulation advances at a time, in seconds.
const Step = 0.25

// Retention is how long a series without samples is remembered, in seconds.
const Retention = 120.0

// never is later than every moment of a simulation.
var never = math.Inf(1)

// Random is where chances come from.
type Random interface {
	Float64() float64
	Sample(n, k int) []int // k different numbers below n
}

type random struct{ *rand.Rand }

// NewRandom returns the chances of a seed.
func NewRandom(seed uint64) Random { return random{rand.New(rand.NewPCG(seed, 0x666c656574))} } //nolint:gosec // chances of a simulation

// Sample implements Random.
func (r random) Sample(n, k int) []int { return r.Perm(n)[:k] }

// Pod pushes its share of the load once per interval, at its own phase.
type Pod struct {
	ID         int
	Born, Gone float64 // Gone is +Inf while the pod exists
	Silent     bool    // cut off or hung: it pushes nothing
	Serves     bool    // it takes a share of the load

	Last, Value float64 // of the last push; Last is -Inf before the first
	Total       float64 // a counter that grows by the pod's share per second

	next    float64
	history []sample
}

// sample is what a pod pushed at a moment.
type sample struct{ at, value float64 }

// Exists reports whether the pod was not removed.
func (p *Pod) Exists() bool { return p.Gone == never }

// at returns the value that the pod had pushed at a moment, 0 if it was late then.
func (p *Pod) at(x, late float64) float64 {
	for i := len(p.history) - 1; i >= 0; i-- {
		if s := p.history[i]; s.at <= x {
			if x-s.at < late {
				return s.value
			}
			return 0
		}
	}
	return 0
}

// Fleet is the pods of one deployment.
type Fleet struct {
	Random
	Interval float64 // between two pushes of a pod, in seconds
	Jitter   float64 // share of the interval by which a push may be early or late
	Missed   float64 // share of the scrapes that fail without a marker
	Pods     []*Pod
	Push     func(p *Pod) // called for each push
	Now      float64

	born int
}

// Add starts a pod that serves at once and pushes within an interval.
func (f *Fleet) Add(t float64) *Pod {
	p := &Pod{ID: f.born, Born: t, Gone: never, Last: -never, Serves: true}
	f.born++
	p.next = t + f.Interval*f.Float64()
	f.Pods = append(f.Pods, p)
	return p
}

// Present returns the pods that exist.
func (f *Fleet) Present() []*Pod {
	var all []*Pod
	for _, p := range f.Pods {
		if p.Exists() {
			all = append(all, p)
		}
	}
	return all
}

// advance shares the load among the serving pods and has each push that is due.
func (f *Fleet) advance(t, load float64) {
	f.Now = t
	serving := 0
	for _, p := range f.Pods {
		if p.Exists() && p.Serves {
			serving++
		}
	}
	for _, p := range f.Pods {
		if !p.Exists() {
			continue
		}
		share := 0.0
		if p.Serves {
			share = load / float64(serving)
		}
		p.Total += share * Step
		f.pushDue(p, t, share)
	}
}

func (f *Fleet) pushDue(p *Pod, t, share float64) {
	for p.next <= t {
		gap := f.Interval
		if f.Jitter > 0 {
			gap *= f.uniform(1-f.Jitter, 1+f.Jitter)
		}
		p.next += gap
		if p.Silent || f.Missed > 0 && f.Float64() < f.Missed {
			continue
		}
		p.Last, p.Value = t, share
		p.history = append(p.history, sample{t, share})
		if len(p.history) > 160 {
			p.history = append(p.history[:0], p.history[80:]...)
		}
		if f.Push != nil {
			f.Push(p)
		}
	}
}

// forget drops the pods that are gone for so long that nothing refers to them.
func (f *Fleet) forget(t float64) {
	kept := f.Pods[:0]
	for _, p := range f.Pods {
		if p.Exists() || t-p.Gone < Retention+60 {
			kept = append(kept, p)
		}
	}
	clear(f.Pods[len(kept):])
	f.Pods = kept
}

func (f *Fleet) uniform(a, b float64) float64 { return a + (b-a)*f.Float64() }
