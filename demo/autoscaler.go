package main

import (
	"math"
	"slices"
)

const (
	hpaTolerance  = 0.1 // the HPA's default
	hpaDownWindow = 5   // recommendations; stands for the HPA's 300 s
)

// autoscaler is the HPA's arithmetic for one external metric of type
// AverageValue, the type KEDA uses when the trigger does not name one.
type autoscaler struct {
	min, max int
	replicas int   // what the Deployment has now
	recent   []int // the latest recommendations, newest last
}

// observe takes the metric's value and returns the replicas now desired.
// After an error do not call it: the HPA keeps what it has.
func (a *autoscaler) observe(value, target float64) int {
	// A quantity is a whole number of thousandths. Dividing those rather than
	// the floats keeps 1.1/0.1 from needing a twelfth pod.
	value, target = math.Round(value*1000), math.Round(target*1000)

	want := a.replicas
	if ratio := value / (target * float64(a.replicas)); ratio < 1-hpaTolerance || ratio > 1+hpaTolerance {
		// Bounded while still a float, which may be larger than an int.
		want = int(min(math.Ceil(value/target), float64(a.max)))
	}
	want = max(a.min, min(a.max, want))

	// Up at once; down only to the highest recommendation of the window.
	a.recent = append(a.recent, want)
	if len(a.recent) > hpaDownWindow {
		a.recent = a.recent[1:]
	}
	a.replicas = max(want, min(a.replicas, slices.Max(a.recent)))
	return a.replicas
}
