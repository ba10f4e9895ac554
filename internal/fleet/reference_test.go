package fleet

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReferenceIsThatOfRolloutPy: with Python's random numbers, the port comes to the
// figures that the original prints.
func TestReferenceIsThatOfRolloutPy(t *testing.T) {
	for _, tc := range []struct {
		jitter, missed float64
		plays          [][]string
		loops          [][]string
	}{{0, 0, rolloutPlays, rolloutLoops}, {0.1, 0.02, jitterPlays, jitterLoops}} {
		for i, play := range Plays {
			if testing.Short() && play.Pods >= 100 {
				continue
			}
			for j, interval := range []float64{1, 5, 15} {
				seeds := 5
				if play.Pods >= 100 {
					seeds = 1
				}
				var plain, rule extremes
				for seed := range seeds {
					a, b := port(&play, seed, interval, tc.jitter, tc.missed)
					plain.merge(a)
					rule.merge(b)
				}
				require.Equal(t, tc.plays[i][j], fmt.Sprintf("plain %s | rule %s", &plain, &rule),
					"%s, interval %v, jitter %v", play.Name, interval, tc.jitter)
			}
		}
		for i, window := range []float64{300, 0} {
			for j, interval := range []float64{1, 5, 10, 15, 30, 60} {
				if testing.Short() && interval < 10 {
					continue
				}
				row := ""
				for _, policy := range []func(float64) *Reference{NewPlain, NewReference} {
					ups, mean := 0, 0.0
					for seed := range 2 {
						l := Loop{Load: 49, Target: 10, Window: window, Seconds: 7200}
						f := &Fleet{Random: newPython(uint32(seed)), Interval: interval, Jitter: tc.jitter, Missed: tc.missed}
						r := policy(interval)
						u, m := l.Run(f, func(at float64) (float64, bool) { return r.Report(f.Pods, at), true })
						ups, mean = max(ups, u), max(mean, m)
					}
					row += fmt.Sprintf("%d %.2f ", ups, mean)
				}
				require.Equal(t, tc.loops[i][j], row, "window %v, interval %v, jitter %v", window, interval, tc.jitter)
			}
		}
	}
}

// extremes are of reported/load, and how long it was above 1.05.
type extremes struct{ lowest, highest, over float64 }

func (e *extremes) merge(o extremes) {
	if e.highest == 0 {
		*e = o
		return
	}
	*e = extremes{min(e.lowest, o.lowest), max(e.highest, o.highest), max(e.over, o.over)}
}

func (e *extremes) add(r float64) {
	e.lowest, e.highest = min(e.lowest, r), max(e.highest, r)
	if r > 1.05 {
		e.over += Step
	}
}

func (e *extremes) String() string { return fmt.Sprintf("%.2f %.2f %.0f", e.lowest, e.highest, e.over) }

func port(play *Play, seed int, interval, jitter, missed float64) (plain, rule extremes) {
	f := &Fleet{Random: newPython(uint32(seed)), Interval: interval, Jitter: jitter, Missed: missed}
	a, b := NewPlain(interval), NewReference(interval)
	plain.lowest, rule.lowest = math.Inf(1), math.Inf(1)
	play.Run(f, func(at, load float64) {
		if at >= 0 {
			plain.add(a.Report(f.Pods, at) / load)
			rule.add(b.Report(f.Pods, at) / load)
		}
	})
	return plain, rule
}
