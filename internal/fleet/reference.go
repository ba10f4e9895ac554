package fleet

import (
	"cmp"
	"math"
	"slices"
)

// Tick is the evaluator's tick in seconds: the longest time that passes until a loss
// is noticed.
const Tick = 1.0

// Reference is the scaler of the reference simulation for sum(share), with its policy rule.
type Reference struct {
	plain bool
	late  float64
	// Delay is how much later than at the first possible moment a series is
	// found to be late.
	Delay float64

	entries map[float64]float64
	known   map[*Pod]bool
}

// NewReference returns the decision by the rule: late after 1.5 intervals, floors
// in hindsight.
func NewReference(interval float64) *Reference {
	return &Reference{late: max(1.5*interval, 2), entries: map[float64]float64{}, known: map[*Pod]bool{}}
}

// NewPlain returns a decision without floors, by which a pod counts until it has
// missed three intervals.
func NewPlain(interval float64) *Reference {
	return &Reference{plain: true, late: max(3*interval, 2)}
}

// Report returns what the reference reports at a moment.
func (r *Reference) Report(pods []*Pod, t float64) float64 {
	var lost []*Pod
	current := 0.0
	for _, p := range pods {
		switch silence := t - p.Last; {
		case silence < r.late+r.Delay:
			current += p.Value
		case !r.plain && p.Value > 0 && silence < Retention:
			lost = append(lost, p)
		}
	}
	if r.plain {
		return current
	}
	if len(lost) == 0 {
		clear(r.entries)
		clear(r.known)
		return current
	}
	slices.SortStableFunc(lost, func(a, b *Pod) int { return cmp.Compare(a.Last, b.Last) })
	for _, p := range lost {
		if r.known[p] {
			continue
		}
		whole := 0.0
		for _, q := range pods {
			if !math.IsInf(q.Last, -1) && !r.known[q] {
				whole += q.at(p.Last, r.late)
			}
		}
		r.entries[p.Last] = max(r.entries[p.Last], whole)
		r.known[p] = true
	}
	sum, known := 0.0, make(map[*Pod]bool, len(lost))
	for _, p := range lost {
		sum += p.Value
		known[p] = r.known[p]
	}
	r.known = known
	carried, floor, any := current+sum, 0.0, false
	for x, value := range r.entries {
		if t-x >= Retention {
			delete(r.entries, x)
			continue
		}
		floor, any = max(floor, value), true
	}
	if !any {
		floor = carried
	}
	return max(current, min(floor, carried))
}
