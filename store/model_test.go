package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

// naive is a store as one would write it on a napkin: every sample that was
// ever accepted, in a slice, filtered when it is read. Times are ms.
type naive struct {
	retention, lookback int64
	series              map[string]*naiveSeries
	interval            int64 // of the metric, as of the last sweep
}

type naiveSample struct {
	t int64
	v float64
}

type naiveSeries struct {
	samples  []naiveSample // ascending
	arrived  int64
	interval int64
	missed   bool  // the last push was late
	extra    bool  // the last push was early
	sent     int64 // the newest sample's own time, if it was moved; else 0
}

func (n *naive) push(key string, now, at int64, v float64) {
	future, sent := at > now, int64(0)
	if future {
		sent = at
	}
	at = min(at, now)
	if at < now-n.retention {
		return
	}
	ser := n.series[key]
	if ser == nil {
		n.series[key] = &naiveSeries{samples: []naiveSample{{at, v}}, arrived: now, sent: sent}
		return
	}
	if future && sent == ser.sent {
		return
	}
	newest := ser.samples[len(ser.samples)-1]
	if v == marker && at == newest.t {
		at++
	}
	i, taken := slices.BinarySearchFunc(ser.samples, at, func(p naiveSample, at int64) int { return int(p.t - at) })
	switch {
	case taken && future && at == newest.t:
		ser.samples[i].v = v
		ser.sent = sent
	case taken, at > newest.t && v == marker && newest.v == marker:
	case at < newest.t:
		ser.samples = slices.Insert(ser.samples, i, naiveSample{at, v})
	default:
		if late := max(n.late(ser), newest.t+1); late < at && newest.v != marker {
			ser.samples = append(ser.samples, naiveSample{late, marker})
		}
		if gap := now - ser.arrived; gap > 0 {
			if v != marker && newest.v != marker {
				ser.learn(min(max(gap, at-newest.t), n.lookback))
			}
			ser.arrived = now
		}
		ser.samples = append(ser.samples, naiveSample{at, v})
		ser.sent = sent
	}
}

// learn learns the push interval: a moving average of gaps in which the series was not
// late, and of late or early pushes the second in a row.
func (ser *naiveSeries) learn(gap int64) {
	was, missed, extra := float64(ser.interval), ser.missed, ser.extra
	ser.missed = was > 0 && float64(gap) > 1.5*was
	ser.extra = was > 0 && float64(gap) <= 0.75*was
	switch {
	case was == 0, ser.extra && extra:
		ser.interval, ser.extra = gap, false
	case ser.missed && missed:
		ser.interval = min(gap, 2*ser.interval)
	case !ser.missed && !ser.extra:
		ser.interval = (3*ser.interval + gap) / 4
	}
}

// idle reports whether all samples are older than a retention, and one and a half push
// intervals.
func (n *naive) idle(ser *naiveSeries, now int64) bool {
	interval := ser.interval
	if interval == 0 {
		interval = n.interval
	}
	mint := now - n.retention - 3*interval/2
	return ser.samples[len(ser.samples)-1].t < mint && ser.arrived < mint
}

// late returns from when on the series is late.
func (n *naive) late(ser *naiveSeries) int64 {
	interval := ser.interval
	if interval == 0 {
		interval = n.interval
	}
	if interval == 0 {
		return ser.arrived + n.lookback
	}
	return ser.arrived + min(max(interval+interval/2, 2000), n.lookback)
}

func (n *naive) sweep(now int64) {
	longest := int64(0)
	var idle []string
	for k, ser := range n.series {
		newest := ser.samples[len(ser.samples)-1]
		switch {
		case n.idle(ser, now):
			idle = append(idle, k)
		case newest.v == marker || n.late(ser) > now:
			longest = max(longest, ser.interval)
		}
	}
	if longest > 0 {
		n.interval = longest
	}
	for _, k := range idle {
		if n.idle(n.series[k], now) { // by what the sweep has learnt, too
			delete(n.series, k)
		}
	}
	if len(n.series) == 0 {
		n.interval = 0 // the name is forgotten with its last series
	}
}

func (n *naive) read(now int64) map[string][]pt {
	out := map[string][]pt{}
	for k, ser := range n.series {
		var pts []pt
		add := func(t int64, v float64) {
			if t >= now-n.retention && t <= now {
				pts = append(pts, pt{float64(t-epoch) / 1000, v})
			}
		}
		for _, p := range ser.samples {
			add(p.t, p.v)
		}
		if ser.samples[len(ser.samples)-1].v != marker {
			add(n.late(ser), marker)
		}
		out[k] = pts
	}
	return out
}

// TestStoreAgreesWithNaiveModel drives both with the same random pushes (late,
// early, twice, markers, pauses) and sweeps.
func TestStoreAgreesWithNaiveModel(t *testing.T) {
	const retention, lookback = 60_000, 40_000
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		s, c := newStore(t, Options{Retention: retention * time.Millisecond, Lookback: lookback * time.Millisecond})
		model := &naive{retention: retention, lookback: lookback, series: map[string]*naiveSeries{}}
		now := epoch
		for range 300 {
			now += []int64{0, 1, 1000, 5000, 5000, 5000, 30_000}[rnd.IntN(7)]
			if rnd.IntN(40) == 0 {
				now += int64(rnd.IntN(150_000))
			}
			c.ms.Store(now)
			lset := series("m", "pod", fmt.Sprint(rnd.IntN(5)))
			at := now - []int64{0, 0, 0, 0, 5000, 7500, 61_000, -10_000, -now % 10_000}[rnd.IntN(9)]
			a := s.Appender()
			if rnd.IntN(10) == 0 {
				_, _ = a.End(lset, at)
				if model.series[lset.String()] != nil {
					model.push(lset.String(), now, at, marker)
				}
			} else {
				v := float64(rnd.IntN(100))
				_, _ = a.Append(lset, at, v)
				model.push(lset.String(), now, at, v)
			}
			a.Commit()
			if rnd.IntN(10) == 0 {
				s.Sweep()
				model.sweep(now)
			}
			until := float64(now-epoch) / 1000
			require.Equal(t, model.read(now), read(t, s, "m", until-1000, until), "seed %d at %v", seed, until)
		}
	}
}

// TestConcurrentAppendQuerySweepSelect is for the race detector; what it asserts
// besides is that nothing accepted is lost and nothing is left over.
func TestConcurrentAppendQuerySweepSelect(t *testing.T) {
	s := New(Options{Retention: time.Minute})
	const writers, rounds, pods = 4, 200, 8
	var wg sync.WaitGroup
	stop := make(chan struct{})
	background := func(f func()) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-stop:
					return
				default:
					f()
				}
			}
		}()
	}
	background(s.Sweep)
	background(func() { read(t, s, "m", -3600, 1e9) })
	background(func() {
		w, err := s.Select(sel("m", "writer", "1"), 0, func() {})
		if err == nil {
			w.Arm()
			_, _, _ = s.Show(t.Context(), 0, sel("m")...)
			w.Close()
		}
	})
	var writing sync.WaitGroup
	for i := range writers {
		writing.Add(1)
		go func() {
			defer writing.Done()
			base := time.Now().UnixMilli() - rounds
			for r := range rounds {
				a := s.Appender()
				for p := range pods {
					lset := series("m", "writer", fmt.Sprint(i), "pod", fmt.Sprint(p))
					if out, err := a.Append(lset, base+int64(r), float64(r)); err != nil || out != Stored {
						t.Errorf("append: %v %v", out, err)
					}
				}
				a.Commit()
			}
		}()
	}
	writing.Wait()
	close(stop)
	wg.Wait()
	all := read(t, s, "m", -1e9, 1e9)
	require.Len(t, all, writers*pods)
	for _, pts := range all {
		require.GreaterOrEqual(t, len(pts), rounds)
	}
	for ser := range s.index.All {
		require.Empty(t, ser.selectionsLocked())
	}
}

// TestSweepSparesSeriesThatCameBack: between finding an idle series and taking
// it out, a sample may come.
func TestSweepSparesSeriesThatCameBack(t *testing.T) {
	s, c := newStore(t, Options{})
	push(t, s, m, 0, 1)
	idle := lookUp(s, m)
	c.at(200)
	push(t, s, m, 200, 2)
	s.free([]*Series{idle}, ms(200), touched{})
	require.Equal(t, 1, s.SeriesCount())
	require.Equal(t, pt{200, 2}, last(one(t, s, 0, 200)))
}

// TestFreedSeriesIsMadeAnew: an append that looked its series up just before
// the sweeper took it out is not lost.
func TestFreedSeriesIsMadeAnew(t *testing.T) {
	s, c := newStore(t, Options{})
	push(t, s, m, 0, 1)
	ser := lookUp(s, m)
	c.at(200)
	s.Sweep()
	a := s.Appender()
	_, err := a.to(ser, ring.Sample{T: ms(200), V: 2}, false)
	require.ErrorIs(t, err, ErrFreed)
	_, err = a.Append(m, ms(200), 2)
	require.NoError(t, err)
	a.Commit()
	require.Equal(t, []pt{{200, 2}}, one(t, s, 0, 200))
}
