package scaler_test

import (
	"flag"
	"fmt"
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/fleet"
)

var playSeeds = flag.Int("play-seeds", 1, "histories of each kind for TestPlays, TestLoop and TestRollingRate")

// noise is how regular the pushes are.
type noise struct{ jitter, missed float64 }

var noises = []noise{{0, 0}, {0.1, 0.02}}

func (n noise) String() string { return fmt.Sprintf("jitter %v missed %v", n.jitter, n.missed) }

// moment is what product and reference reported then.
type moment struct {
	load, reported float64
	held           bool
	low, high      float64 // of the reference
}

// comparison runs the product beside the reference on one history. The product
// evaluates after each push and each fleet.Tick, the reference at each step: the
// product may notice a loss one tick later, and so may report then what the reference
// reported up to one tick before. So what counts as the reference is two of them, one
// of which finds every series late one tick later, and at each moment all that they
// reported since one tick before. The product learns the push interval from the pushes,
// so where these are irregular there are two more references, by whose clock a series
// is late a little sooner or later.
type comparison struct {
	product *product
	query   string
	refs    []*fleet.Reference
	all     []moment
}

func compare(t testing.TB, f *fleet.Fleet, start float64) *comparison {
	slow := fleet.NewReference(f.Interval)
	slow.Delay = fleet.Tick
	c := &comparison{product: newProduct(t, start-lead), query: "sum(x)", refs: []*fleet.Reference{fleet.NewReference(f.Interval), slow}}
	if f.Jitter > 0 {
		for _, learnt := range []float64{1 - f.Jitter/2, 1 + f.Jitter/2} {
			r := fleet.NewReference(f.Interval * learnt)
			r.Delay = fleet.Tick * max(0, learnt-1) / (f.Jitter / 2)
			c.refs = append(c.refs, r)
		}
	}
	c.product.ask(c.query)
	known := map[int][]labels.Labels{}
	f.Push = func(p *fleet.Pod) {
		if known[p.ID] == nil {
			known[p.ID] = []labels.Labels{series("x", p.ID)}
		}
		c.product.at(f.Now)
		c.product.push(0, known[p.ID], []float64{p.Value})
	}
	return c
}

// observe polls the product and the reference after the pushes of a step.
func (c *comparison) observe(f *fleet.Fleet, load float64) moment {
	c.product.at(f.Now)
	c.product.work()
	v, err := c.product.poll(c.query)
	m := moment{load: load, reported: v, held: err != nil, low: math.Inf(1)}
	for _, r := range c.refs {
		v := r.Report(f.Pods, f.Now)
		m.low, m.high = min(m.low, v), max(m.high, v)
	}
	c.all = append(c.all, m)
	return m
}

// require compares the extremes of reported/load. each is how many moments make
// a tick.
func (c *comparison) require(t testing.TB, f *fleet.Fleet, each int) {
	t.Helper()
	lowest, low, highest, high, held := math.Inf(1), math.Inf(1), 0.0, 0.0, 0
	for i, m := range c.all {
		for _, near := range c.all[max(0, i-each) : i+1] {
			low, high = min(low, near.low/m.load), max(high, near.high/m.load)
		}
		if m.held {
			held++ // the HPA keeps its replicas, so it is neither too low nor too high
			continue
		}
		lowest, highest = min(lowest, m.reported/m.load), max(highest, m.reported/m.load)
	}
	t.Logf("reported/load %.2f to %.2f, of the reference %.2f to %.2f, held %d of %d", lowest, highest, low, high, held, len(c.all))
	rounding := 1e-9
	if f.Jitter > 0 && f.Interval > 30 {
		rounding = 0.05 // less than a pod: a series is late for half an interval, and each has learnt another one
	}
	if lowest < low-rounding {
		t.Errorf("reported %.3f of the load, the reference at least %.3f", lowest, low)
	}
	if highest > high+rounding {
		t.Errorf("reported %.3f of the load, the reference at most %.3f", highest, high)
	}
	if held > 0 {
		t.Errorf("held %d times: there is always a current value or a floor", held)
	}
}

// TestPlays drives product and reference by the histories of the reference simulation.
func TestPlays(t *testing.T) {
	for _, play := range fleet.Plays {
		if testing.Short() && play.Pods >= 100 {
			continue
		}
		for _, interval := range []float64{1, 5, 15} {
			for _, n := range noises {
				for seed := range uint64(*playSeeds) {
					t.Run(fmt.Sprintf("%s/interval %v/%s/seed %d", play.Name, interval, n, seed), func(t *testing.T) {
						t.Parallel()
						f := &fleet.Fleet{Random: fleet.NewRandom(seed), Interval: interval, Jitter: n.jitter, Missed: n.missed}
						c := compare(t, f, -80)
						play.Run(f, func(at, load float64) {
							if c.observe(f, load); at < 0 {
								c.all = c.all[:0] // the first pods start
							}
						})
						c.require(t, f, int(fleet.Tick/fleet.Step))
					})
				}
			}
		}
	}
}

// TestLoop has an HPA scale a fleet by what the product reports: with pushes as
// regular as a clock it settles within 20 minutes, and the reported values stay
// within the reference's on the history that results.
func TestLoop(t *testing.T) {
	for _, window := range []float64{300, 0} {
		for _, interval := range []float64{1, 5, 10, 15, 30, 60} {
			if testing.Short() && interval < 10 {
				continue
			}
			for _, n := range noises {
				for seed := range uint64(*playSeeds) {
					t.Run(fmt.Sprintf("window %v/interval %v/%s/seed %d", window, interval, n, seed), func(t *testing.T) {
						t.Parallel()
						l := fleet.Loop{Load: 49, Target: 10, Window: window, Seconds: 7200}
						f := &fleet.Fleet{Random: fleet.NewRandom(seed), Interval: interval, Jitter: n.jitter, Missed: n.missed}
						c := compare(t, f, 0)
						ups, replicas := l.Run(f, func(at float64) (float64, bool) {
							m := c.observe(f, l.Load)
							if at < interval {
								c.all = c.all[:0] // the first pods start
							}
							return m.reported, !m.held
						})
						c.require(t, f, 1)
						t.Logf("%d scale-ups after 20 minutes, %.2f replicas", ups, replicas)
						if n.jitter == 0 {
							// At 60 s there is half an interval between a series that is late and one that
							// is forgotten: the reference does not settle in every history, either.
							own := &fleet.Fleet{Random: fleet.NewRandom(seed), Interval: interval}
							r := fleet.NewReference(interval)
							most, mean := l.Run(own, func(at float64) (float64, bool) { return r.Report(own.Pods, at), true })
							require.LessOrEqual(t, ups, max(1, most))
							require.InDelta(t, mean, replicas, 0.1)
						}
					})
				}
			}
		}
	}
}

// TestRollingRate: in a rolling update a rate is never below 90 % of the load (85 % in a
// window of four samples), whether
// or not the senders report when their counters started.
func TestRollingRate(t *testing.T) {
	for _, window := range []string{"1m", "5m"} {
		for _, interval := range []float64{1, 5, 15} {
			for _, started := range []bool{true, false} {
				for seed := range uint64(*playSeeds) {
					t.Run(fmt.Sprintf("%s/interval %v/start times %v/seed %d", window, interval, started, seed), func(t *testing.T) {
						t.Parallel()
						const begin = 400.0 // the longest window is full
						query := fmt.Sprintf("sum(rate(y[%s]))", window)
						play := fleet.Play{Pods: 10, Load: fleet.Constant(100), Events: fleet.Rolling(begin, 3, 4, 10), Seconds: begin + 900}
						f := &fleet.Fleet{Random: fleet.NewRandom(seed), Interval: interval}
						p := newProduct(t, -80-lead)
						p.ask(query)
						f.Push = func(pod *fleet.Pod) {
							p.at(f.Now)
							born := int64(0)
							if started {
								born = millis(pod.Born)
							}
							p.push(born, []labels.Labels{series("y", pod.ID)}, []float64{pod.Total})
						}
						lowest, highest, held := math.Inf(1), 0.0, 0
						play.Run(f, func(at, load float64) {
							p.at(at)
							p.work()
							v, err := p.poll(query)
							switch {
							case at < begin:
							case err != nil:
								held++
							default:
								lowest, highest = min(lowest, v/load), max(highest, v/load)
							}
						})
						t.Logf("reported/load %.2f to %.2f, held %d", lowest, highest, held)
						least := 0.9
						if window == "1m" && interval > 5 {
							least = 0.85 // the window has four samples, and a pod's first interval is not in it
						}
						require.GreaterOrEqual(t, lowest, least)
						require.Zero(t, held)
					})
				}
			}
		}
	}
}
