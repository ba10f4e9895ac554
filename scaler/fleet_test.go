package scaler

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fleet is the pods of a model that share a load, each with a Collector that vanishes
// with it, without a word.
type fleet struct {
	r        *rig
	interval time.Duration
	load     float64
	started  int
	pods     []*fleetPod
	all      []*fleetPod // those that are gone as well
	rule     reference
}

type fleetPod struct {
	name  string
	next  int64   // push, in ms
	total float64 // served so far
	cut   bool    // from the scaler

	pushed []sample // for the reference
}

type sample struct {
	at int64 // ms
	v  float64
}

// before returns what the pod pushed last, as of a moment.
func (p *fleetPod) before(at int64) (s sample, ok bool) {
	for _, s := range slices.Backward(p.pushed) {
		if s.at <= at {
			return s, true
		}
	}
	return s, false
}

// reference is the policy "rule" of the reference simulation, for sum(load).
type reference struct {
	entries map[int64]float64
	known   map[*fleetPod]bool
}

const referenceRetention = 120_000

func (ref *reference) report(f *fleet) float64 {
	now, late := f.r.now(), max(f.interval.Milliseconds()*3/2, 2000)
	lastOf := func(p *fleetPod) sample { s, _ := p.before(now); return s }
	current, lost := 0.0, []*fleetPod(nil)
	for _, p := range f.all {
		s, ok := p.before(now)
		switch {
		case !ok:
		case now-s.at < late:
			current += s.v
		case s.v != 0 && now-s.at < referenceRetention:
			lost = append(lost, p)
		}
	}
	if len(lost) == 0 {
		ref.entries, ref.known = map[int64]float64{}, map[*fleetPod]bool{}
		return current
	}
	slices.SortFunc(lost, func(a, b *fleetPod) int { return int(lastOf(a).at - lastOf(b).at) })
	carried := current
	for _, p := range lost {
		last := lastOf(p)
		carried += last.v
		if ref.known[p] {
			continue
		}
		whole := 0.0
		for _, q := range f.all {
			if s, ok := q.before(last.at); ok && !ref.known[q] && last.at-s.at < late {
				whole += s.v
			}
		}
		ref.entries[last.at] = max(ref.entries[last.at], whole)
		ref.known[p] = true
	}
	for p := range ref.known {
		if !slices.Contains(lost, p) {
			delete(ref.known, p)
		}
	}
	floor := 0.0
	for at, v := range ref.entries {
		if now-at >= referenceRetention {
			delete(ref.entries, at)
			continue
		}
		floor = max(floor, v)
	}
	if len(ref.entries) == 0 {
		floor = carried
	}
	return max(current, min(floor, carried))
}

func newFleet(t *testing.T, interval time.Duration, count int, load float64) *fleet {
	f := &fleet{r: newRig(t, Options{}), interval: interval, load: load}
	f.start(count)
	return f
}

func (f *fleet) start(n int) {
	for range n {
		// Phases differ, the same in each run.
		phase := int64(f.started) * 7 * 131 % f.interval.Milliseconds()
		p := &fleetPod{name: fmt.Sprint("pod", f.started), next: f.r.now() + phase}
		f.pods, f.all = append(f.pods, p), append(f.all, p)
		f.started++
	}
}

func (f *fleet) stopOldest(n int) { f.pods = f.pods[min(n, len(f.pods)):] }

// second lets a second pass, in which the pods serve and push.
func (f *fleet) second() {
	const part = 250
	for range 1000 / part {
		f.r.ms.Add(part)
		for _, p := range f.pods {
			p.total += f.load / float64(len(f.pods)) * part / 1000
			if p.next > f.r.now() {
				continue
			}
			p.next += f.interval.Milliseconds()
			if !p.cut {
				f.r.push(p.name, f.load/float64(len(f.pods)))
				f.r.put("served_total", p.name, p.total)
				p.pushed = append(p.pushed, sample{f.r.now(), f.load / float64(len(f.pods))})
			}
		}
	}
	f.r.tick()
}

// bounds are the lowest and the highest value that was reported, and for how many
// seconds it was too high.
type bounds struct {
	lowest, highest         float64
	ruleLowest, ruleHighest float64 // of the reference
	above                   int
}

// run lets time pass, and polls each second.
func (f *fleet) run(seconds int, md map[string]string, each func(second int)) bounds {
	f.r.t.Helper()
	b := bounds{lowest: math.Inf(1), ruleLowest: math.Inf(1)}
	for i := range seconds {
		each(i)
		f.second()
		v, _, err := f.r.poll(md)
		require.NoError(f.r.t, err)
		b.lowest, b.highest = min(b.lowest, v), max(b.highest, v)
		rule := f.rule.report(f)
		b.ruleLowest, b.ruleHighest = min(b.ruleLowest, rule), max(b.ruleHighest, rule)
		if v > 1.1*f.load {
			b.above++
		}
	}
	return b
}

// TestRollingUpdate replaces 3 of 10 pods every 4 s, scraped every 5 s, under a load of
// 100. Gauges never report less than the load, and not more than
// the reference simulation. Rates lack what the new pods' first samples do not show.
func TestRollingUpdate(t *testing.T) {
	for _, tc := range []struct {
		text   string
		lowest float64
	}{
		{kserve[keyQuery], 100},
		{"sum(rate(served_total[1m]))", 90},
		{"sum(rate(served_total[5m]))", 90},
	} {
		t.Run(tc.text, func(t *testing.T) {
			f := newFleet(t, step, 10, 100)
			md := metricQuery(tc.text)
			_, _, _ = f.r.poll(md)
			for range 400 {
				f.second()
			}
			left := 10
			b := f.run(300, md, func(second int) {
				if second%4 == 0 && left > 0 {
					n := min(3, left)
					f.stopOldest(n)
					f.start(n)
					left -= n
				}
			})
			require.GreaterOrEqual(t, b.lowest, tc.lowest-1e-9)
			require.LessOrEqual(t, b.highest, b.ruleHighest+1e-9)
			require.LessOrEqual(t, b.above, 60)
			v, _, err := f.r.poll(md)
			require.NoError(t, err)
			require.InEpsilon(t, 100, v, 0.05)
		})
	}
}

// TestHalfOfTheSendersAreCutOff for 20 s, and come back one by one, in any order.
func TestHalfOfTheSendersAreCutOff(t *testing.T) {
	for name, order := range map[string]func(i int) int{
		"the first first": func(i int) int { return i },
		"the last first":  func(i int) int { return 9 - i },
		"mixed":           func(i int) int { return 7 * i % 10 },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, step, 20, 100)
			for range 60 {
				f.second()
			}
			b := f.run(120, kserve, func(second int) {
				switch {
				case second == 0:
					for _, p := range f.pods[:10] {
						p.cut = true
					}
				case second >= 20 && second%2 == 0 && second < 40:
					f.pods[order((second-20)/2)].cut = false
				}
			})
			require.GreaterOrEqual(t, b.lowest, 100-1e-9)
			require.LessOrEqual(t, b.highest, b.ruleHighest+1e-9)
		})
	}
}

// TestTheHPASettles: a load of 49 with target 10, pods replaced by the HPA, for two
// hours: at most one scale-up after the first minutes.
func TestTheHPASettles(t *testing.T) {
	for _, interval := range []time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second} {
		for _, window := range []int{0, 300} {
			t.Run(fmt.Sprintf("%s/stabilization=%ds", interval, window), func(t *testing.T) {
				f := newFleet(t, interval, 8, 49)
				type wish struct{ at, n int }
				var wishes []wish
				ups, replicas, n := 0, 0, 0
				for second := range 7200 {
					f.second()
					if second < 60 || second%15 != 0 {
						continue
					}
					v, _, err := f.r.poll(kserve)
					require.NoError(t, err)
					require.GreaterOrEqual(t, v, 49-1e-9)
					require.InDelta(t, f.rule.report(f), v, 1e-9)
					now := len(f.pods)
					want := now
					if math.Abs(v/float64(10*now)-1) > 0.1 {
						want = max(1, int(math.Ceil(v/10)))
					}
					wishes = append(slices.DeleteFunc(wishes, func(w wish) bool { return w.at < second-window }), wish{second, want})
					for _, w := range wishes {
						want = max(want, min(w.n, now)) // a scale-down waits
					}
					if want > now {
						if second > 1200 {
							ups++
						}
						f.start(want - now)
					} else {
						f.stopOldest(now - want)
					}
					if second > 1200 {
						replicas, n = replicas+len(f.pods), n+1
					}
				}
				if interval == 30*time.Second && window == 0 {
					return // the reference does not settle either, with the phases of this fleet
				}
				require.LessOrEqual(t, ups, 1)
				require.InDelta(t, 5, float64(replicas)/float64(n), 0.1)
			})
		}
	}
}

// TestWhoIsBackFirstLeavesThemWhole: the first that was lost comes back before the
// others, and the value stays what it was when all were there.
func TestWhoIsBackFirstLeavesThemWhole(t *testing.T) {
	r := newRig(t, Options{})
	push := func(pods ...int) func() {
		return func() {
			for _, p := range pods {
				r.push(fmt.Sprint(p), 10)
			}
		}
	}
	r.steps(4, push(0, 1, 2, 3))
	r.require(kserve, 40, true)
	r.steps(1, push(1, 2, 3))
	r.steps(1, push(2, 3))
	r.steps(4, push(3))
	r.require(kserve, 40, true)
	for range 10 {
		r.steps(1, push(0, 3))
		r.require(kserve, 40, true)
	}
}
