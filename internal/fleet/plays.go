package fleet

import (
	"math"
	"slices"
)

// Play is a history with a given load: as the reference simulation has it under this name.
type Play struct {
	Name    string
	Pods    int
	Load    func(t float64) float64
	Events  func() func(f *Fleet, t float64) // called before each step from 0 on
	Seconds float64
}

// playStart is when the first pods start, so that all have pushed at 0.
const playStart = -80.0

// Run plays it with an empty fleet. observe is called at each step, also before 0.
func (p *Play) Run(f *Fleet, observe func(t, load float64)) {
	for range p.Pods {
		f.Add(playStart)
	}
	events := p.Events()
	for t := playStart; t < p.Seconds; t += Step {
		if t >= 0 {
			events(f, t)
		}
		load := p.Load(t)
		f.advance(t, load)
		observe(t, load)
		f.forget(t)
	}
}

// Plays are the histories of the reference simulation.
var Plays = []Play{
	{"rolling update 3 of 10 every 4 s", 10, Constant(100), Rolling(0, 3, 4, 10), 300},
	{"rolling update 1 of 10 every 10 s", 10, Constant(100), Rolling(0, 1, 10, 10), 300},
	{"half of 20 pods cut off for 20 s, back one by one", 20, Constant(100), cut(0.5, 20, 40), 200},
	{"all but two of 20 cut off for 60 s", 20, Constant(100), cut(0.9, 20, 80), 300},
	{"one of 10 hangs, load falls to 20", 10, falling(60, 120, 20), hang(30), 600},
	{"200 pods, 1 % replaced a minute, load halves", 200, halving(200), churn(0.01), 500},
	{"200 pods, 10 % replaced a minute, constant", 200, Constant(1000), churn(0.10), 300},
}

// Rolling replaces so many pods at a time, of those that were there before second 0.
func Rolling(begin float64, batch int, every float64, total int) func() func(*Fleet, float64) {
	return func() func(*Fleet, float64) {
		done, due := 0, begin
		return func(f *Fleet, t float64) {
			if t < due || done >= total {
				return
			}
			old := 0
			for _, p := range f.Present() {
				if p.Born < 0 && old < batch {
					old++
					p.Gone = t
					f.Add(t)
					done++
				}
			}
			due += every
		}
	}
}

func churn(perMinute float64) func() func(*Fleet, float64) {
	return always(func(f *Fleet, t float64) {
		for _, p := range f.Present() {
			if f.Float64() < perMinute/60*Step {
				p.Gone = t
				f.Add(t)
			}
		}
	})
}

// cut cuts pods off, which go on serving, and lets them come back one by one.
func cut(share, begin, end float64) func() func(*Fleet, float64) {
	return always(func(f *Fleet, t float64) {
		if math.Abs(t-begin) < Step/2 {
			for _, i := range f.Sample(len(f.Pods), int(float64(len(f.Pods))*share)) {
				f.Pods[i].Silent = true
			}
		}
		if t < end {
			return
		}
		for _, p := range f.Pods {
			if p.Silent && f.Float64() < 0.02 {
				p.Silent = false
			}
		}
	})
}

// hang has a pod exist without pushing or serving.
func hang(begin float64) func() func(*Fleet, float64) {
	return always(func(f *Fleet, t float64) {
		if math.Abs(t-begin) < Step/2 {
			f.Pods[0].Silent, f.Pods[0].Serves = true, false
		}
	})
}

func always(events func(*Fleet, float64)) func() func(*Fleet, float64) {
	return func() func(*Fleet, float64) { return events }
}

// Constant is a load that does not change.
func Constant(v float64) func(float64) float64 { return func(float64) float64 { return v } }

func halving(at float64) func(float64) float64 {
	return func(t float64) float64 {
		if t < at {
			return 1000
		}
		return 500
	}
}

func falling(begin, seconds, to float64) func(float64) float64 {
	return func(t float64) float64 {
		if t < begin {
			return 100
		}
		return max(to, 100-(100-to)*(t-begin)/seconds)
	}
}

// Loop is a fleet that an HPA scales by what is reported.
type Loop struct {
	Load, Target float64
	Window       float64 // of the HPA's stabilization, in seconds
	Seconds      float64
}

// Settled is from when on a Loop counts scale-ups.
const Settled = 1200.0

// Run returns the scale-ups after Settled and the mean number of replicas since. While
// report returns false the HPA has no value and keeps the replicas.
func (l *Loop) Run(f *Fleet, report func(t float64) (float64, bool)) (ups int, mean float64) {
	const sync, first, begin = 15.0, 60.0, 8
	type wish struct {
		at       float64
		replicas int
	}
	for range begin {
		f.Add(0)
	}
	replicas, due, area, n := begin, first, 0.0, 0.0
	var wanted []wish
	for t := 0.0; t < l.Seconds; t += Step {
		f.advance(t, l.Load)
		v, ok := 0.0, false
		if t == math.Trunc(t) || t >= due {
			v, ok = report(t)
		}
		if t >= due {
			due += sync
		} else {
			ok = false
		}
		if ok {
			desired := replicas
			if math.Abs(v/(l.Target*float64(replicas))-1) > 0.1 {
				desired = max(1, int(math.Ceil(v/l.Target)))
			}
			wanted = slices.DeleteFunc(wanted, func(w wish) bool { return t-w.at > l.Window })
			wanted = append(wanted, wish{t, desired})
			highest := 0
			for _, w := range wanted {
				highest = max(highest, w.replicas)
			}
			switch {
			case desired > replicas:
				if t > Settled {
					ups++
				}
				for range desired - replicas {
					f.Add(t)
				}
				replicas = desired
			case highest < replicas:
				serving := f.Present()
				for _, i := range f.Sample(len(serving), replicas-highest) {
					serving[i].Gone = t
				}
				replicas = highest
			}
		}
		if t > Settled {
			area += float64(replicas)
			n++
		}
		f.forget(t)
	}
	return ups, area / n
}
