package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
)

// adds is a view's Accumulates.
func adds(function string) bool { return function == "rate" }

// viewed is what readers get of the series of m.
type viewed struct {
	values map[string]float64 // by pod, of those that are live
	points map[string][]pt    // by pod, in the window, under a function that does not accumulate
	all    map[string][]pt    // the same, under one that does
}

// direct reads m through an Instant.
func direct(t *testing.T, s *Store, v *View, window float64) viewed {
	t.Helper()
	selection, err := s.Select(sel("m"), 0, func() {})
	require.NoError(t, err)
	defer selection.Close()
	in, err := selection.Instant(t.Context(), v)
	require.NoError(t, err)
	out := viewed{map[string]float64{}, map[string][]pt{}, map[string][]pt{}}
	for i := range in.Len() {
		pod := s.index.Label(in.series[i], "pod")
		last, ok, err := in.Last(i)
		require.NoError(t, err)
		if ok {
			out.values[pod] = last
		}
		for accumulates, to := range map[bool]map[string][]pt{false: out.points, true: out.all} {
			points, err := in.Range(i, int64(window*1000), accumulates, nil)
			require.NoError(t, err)
			for _, p := range points {
				to[pod] = append(to[pod], pt{float64(p.T-epoch) / 1000, p.F})
			}
		}
	}
	return out
}

// engine reads m as the PromQL engine does, through a storage.Queryable.
func engine(t *testing.T, s *Store, v *View, window float64) viewed {
	t.Helper()
	out := viewed{map[string]float64{}, map[string][]pt{}, map[string][]pt{}}
	samples := func(mint int64, hints *storage.SelectHints, each func(pod string, at int64, v float64)) {
		q, err := s.Within(v).Querier(mint, v.At)
		require.NoError(t, err)
		set := q.Select(t.Context(), true, hints, sel("m")...)
		for set.Next() {
			it := set.At().Iterator(nil)
			for it.Next() != chunkenc.ValNone {
				at, f := it.At()
				each(set.At().Labels().Get("pod"), at, f)
			}
		}
		require.NoError(t, set.Err())
	}
	lookback := s.opts.Lookback.Milliseconds()
	samples(v.At-lookback+1, &storage.SelectHints{Func: "sum"}, func(pod string, _ int64, f float64) {
		if out.values[pod] = f; value.IsStaleNaN(f) {
			delete(out.values, pod)
		}
	})
	for function, to := range map[string]map[string][]pt{"avg_over_time": out.points, "rate": out.all} {
		hints := &storage.SelectHints{Func: function, Range: int64(window * 1000)}
		samples(v.At-int64(window*1000)+1, hints, func(pod string, at int64, f float64) {
			if !value.IsStaleNaN(f) {
				to[pod] = append(to[pod], pt{float64(at-epoch) / 1000, f})
			}
		})
	}
	return out
}

// view reads m both ways, which must agree.
func view(t *testing.T, s *Store, v View, window float64) viewed {
	t.Helper()
	v.Accumulates = adds
	got := direct(t, s, &v, window)
	require.Equal(t, engine(t, s, &v, window), got, "as the engine sees it")
	return got
}

// these are series of m by their pods.
func these(s *Store, pods ...string) map[*Series]struct{} {
	out := map[*Series]struct{}{}
	for _, pod := range pods {
		out[lookUp(s, series("m", "pod", pod))] = struct{}{}
	}
	return out
}

// steady pushes the values of a pod's series, every five seconds from a moment on.
// It moves the clock.
func steady(t *testing.T, s *Store, c *clock, from float64, pods map[string]func(at float64) float64, until float64) {
	t.Helper()
	for at := from; at <= until; at += 5 {
		c.at(at)
		for pod, f := range pods {
			push(t, s, series("m", "pod", pod), at, f(at))
		}
	}
}

func constant(v float64) func(float64) float64 { return func(float64) float64 { return v } }

// TestViewOfNowHidesLateAndEndedSeries, except under functions that accumulate what
// is in their window.
func TestViewOfNowHidesLateAndEndedSeries(t *testing.T) {
	s, c := newStore(t, Options{})
	steady(t, s, c, 0, map[string]func(float64) float64{"lives": constant(1), "late": constant(2), "ended": constant(3)}, 10)
	end(t, s, series("m", "pod", "ended"), 10)
	steady(t, s, c, 15, map[string]func(float64) float64{"lives": constant(1)}, 15)
	require.Equal(t, map[string]float64{"lives": 1, "late": 2}, view(t, s, View{At: ms(15)}, 10).values, "not late yet")
	c.at(17.5)
	got := view(t, s, View{At: ms(17.5)}, 10)
	require.Equal(t, map[string]float64{"lives": 1}, got.values)
	require.Equal(t, map[string][]pt{"lives": {{10, 1}, {15, 1}}}, got.points)
	require.Equal(t, map[string][]pt{"lives": {{10, 1}, {15, 1}}, "late": {{10, 2}}, "ended": {{10, 3}}}, got.all)
}

func TestViewOfNowHidesRestoredSeriesUntilTheyArePushed(t *testing.T) {
	before, c := newStore(t, Options{})
	steady(t, before, c, 0, map[string]func(float64) float64{"a": constant(1), "b": constant(2)}, 10)
	s, c := restoredAt(t, before, 11, Options{})
	got := view(t, s, View{At: ms(11)}, 10)
	require.Empty(t, got.values, "within a push interval of the snapshot")
	require.Empty(t, got.points)
	require.Len(t, got.all, 2)
	c.at(12)
	push(t, s, series("m", "pod", "a"), 12, 3)
	require.Equal(t, map[string]float64{"a": 3}, view(t, s, View{At: ms(12)}, 10).values)
}

// TestViewAsOfAMomentShowsWhoWasLiveThen: what happened afterwards does not count.
func TestViewAsOfAMomentShowsWhoWasLiveThen(t *testing.T) {
	s, c := newStore(t, Options{})
	steady(t, s, c, 0, map[string]func(float64) float64{"lives": func(at float64) float64 { return at }, "dies": constant(2), "ends": constant(3)}, 10)
	c.at(12)
	end(t, s, series("m", "pod", "ends"), 12)
	steady(t, s, c, 15, map[string]func(float64) float64{"lives": func(at float64) float64 { return at }, "new": constant(9)}, 40)
	require.Equal(t, map[string]float64{"lives": 40, "new": 9}, view(t, s, View{At: ms(40)}, 10).values)
	got := view(t, s, View{At: ms(10), AsOf: true}, 10)
	require.Equal(t, map[string]float64{"lives": 10, "dies": 2, "ends": 3}, got.values)
	require.Equal(t, map[string][]pt{"lives": {{5, 5}, {10, 10}}, "dies": {{5, 2}, {10, 2}}, "ends": {{5, 3}, {10, 3}}}, got.points)
	require.Equal(t, map[string]float64{"lives": 10, "dies": 2}, view(t, s, View{At: ms(13), AsOf: true}, 10).values)
	require.Equal(t, map[string]float64{"lives": 15, "new": 9}, view(t, s, View{At: ms(17.5), AsOf: true}, 10).values)
}

// TestViewAsOfAMomentGoesByArrival: a sender whose clock or queue lags was live when
// its samples arrived, and they stand beside those of others that arrived with them.
func TestViewAsOfAMomentGoesByArrival(t *testing.T) {
	s, c := newStore(t, Options{})
	for at := 60.0; at <= 80; at += 5 {
		c.at(at)
		push(t, s, series("m", "pod", "exact"), at, at)
		if at <= 70 {
			push(t, s, series("m", "pod", "lags"), at-50, at)
		}
	}
	got := view(t, s, View{At: ms(70), AsOf: true}, 10)
	require.Equal(t, map[string]float64{"exact": 70, "lags": 70}, got.values)
	require.Equal(t, map[string][]pt{"exact": {{65, 65}, {70, 70}}, "lags": {{65, 65}, {70, 70}}}, got.points, "at the times of their arrival")
	require.Equal(t, map[string]float64{"exact": 75, "lags": 70}, view(t, s, View{At: ms(77.4), AsOf: true}, 10).values)
	require.Equal(t, map[string]float64{"exact": 75}, view(t, s, View{At: ms(77.5), AsOf: true}, 10).values)
	require.Equal(t, map[string][]pt{"exact": {{75, 75}, {80, 80}}}, view(t, s, View{At: ms(80)}, 10).points, "now, samples have their own times")
	require.Empty(t, view(t, s, View{At: ms(59), AsOf: true}, 10).values, "nothing had arrived")
}

// TestCarryKeepsAGaugesValueAndACountersRate for as long as the series is silent, or
// ended.
func TestCarryKeepsAGaugesValueAndACountersRate(t *testing.T) {
	s, c := newStore(t, Options{})
	steady(t, s, c, 0, map[string]func(float64) float64{
		"lives": constant(1), "gauge": constant(7), "counter": func(at float64) float64 { return 3 * at }, "ended": constant(5),
	}, 20)
	end(t, s, series("m", "pod", "ended"), 20)
	for _, now := range []float64{30, 60, 100} {
		steady(t, s, c, now-5, map[string]func(float64) float64{"lives": constant(1)}, now)
		got := view(t, s, View{At: ms(now), Carry: these(s, "gauge", "counter", "ended")}, 10)
		require.Equal(t, map[string]float64{"lives": 1, "gauge": 7, "counter": 60, "ended": 5}, got.values)
		require.Equal(t, []pt{{now - 5, 45}, {now, 60}}, got.points["counter"], "15 in five seconds, as before")
		require.Equal(t, []pt{{now - 5, 7}, {now, 7}}, got.all["gauge"])
		require.Equal(t, []pt{{now - 5, 5}, {now, 5}}, got.points["ended"], "without its marker")
	}
	got := view(t, s, View{At: ms(10), AsOf: true, Carry: these(s, "gauge", "ended")}, 10)
	require.Equal(t, map[string]float64{"lives": 1, "gauge": 7, "counter": 30, "ended": 5}, got.values)
}

func TestViewWithoutASeries(t *testing.T) {
	s, c := newStore(t, Options{})
	steady(t, s, c, 0, map[string]func(float64) float64{"a": constant(1), "b": constant(2)}, 10)
	for _, asOf := range []bool{false, true} {
		got := view(t, s, View{At: ms(10), AsOf: asOf, Without: these(s, "b"), Carry: these(s, "b")}, 10)
		require.Equal(t, map[string]float64{"a": 1}, got.values)
		require.Equal(t, map[string][]pt{"a": {{5, 1}, {10, 1}}}, got.all)
	}
}

// TestInstantAgreesWithTheEnginesView for random pasts and views.
func TestInstantAgreesWithTheEnginesView(t *testing.T) {
	const pods = 5
	for seed := range uint64(120) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		o := Options{Retention: time.Minute, Lookback: []time.Duration{time.Minute, 20 * time.Second}[rnd.IntN(2)], MaxSamplesPerSeries: []int{1024, 6}[rnd.IntN(2)]}
		s, c := newStore(t, o)
		now := 0.0
		some := func(s *Store) map[*Series]struct{} {
			out := map[*Series]struct{}{}
			for pod := range pods {
				if ser := lookUp(s, series("m", "pod", fmt.Sprint(pod))); ser != nil && rnd.IntN(4) == 0 {
					out[ser] = struct{}{}
				}
			}
			return out
		}
		for range 120 {
			now += []float64{0, 0.001, 1, 2.5, 5, 5, 5, 12}[rnd.IntN(8)]
			c.at(now)
			lset := series("m", "pod", fmt.Sprint(rnd.IntN(pods)))
			at := now - []float64{0, 0, 0, 0.5, 5, 7.5, 30, -3}[rnd.IntN(8)]
			a := s.Appender()
			switch rnd.IntN(12) {
			case 0:
				_, _ = a.End(lset, ms(at))
			case 1:
				s.Sweep()
			case 2:
				if rnd.IntN(5) == 0 {
					s, c = restoredAt(t, s, now+0.1+float64(rnd.IntN(3)), o)
					now = float64(c.ms.Load()-epoch) / 1000
				}
			case 3:
				for pod := range pods {
					_, _ = a.Append(series("m", "pod", fmt.Sprint(pod)), ms(now), float64(rnd.IntN(100)))
				}
			default:
				_, _ = a.Append(lset, ms(at), float64(rnd.IntN(100)))
			}
			a.Commit()
			v := View{At: ms(now - []float64{0, 0, 0, 1, 5, 20, 60}[rnd.IntN(7)]), AsOf: rnd.IntN(2) == 0, Accumulates: adds}
			if rnd.IntN(3) > 0 {
				v.Carry, v.Without = some(s), some(s)
			}
			window := []float64{0.001, 5, 10, 60}[rnd.IntN(4)]
			require.Equal(t, engine(t, s, &v, window), direct(t, s, &v, window), "seed %d at %v: %+v", seed, now, v)
		}
	}
}

// TestViewAsOfARequest: all samples of a request had arrived with each of them, although
// those of later requests took a few milliseconds more.
func TestViewAsOfARequest(t *testing.T) {
	s, c := newStore(t, Options{Retention: time.Minute})
	push := func(sent, lag float64, values ...float64) {
		c.at(sent + lag)
		a := s.Appender()
		for pod, v := range values {
			_, err := a.Append(series("m", "pod", fmt.Sprint(pod)), ms(sent), v)
			require.NoError(t, err)
		}
		a.Commit()
	}
	push(1, 0.002, 1, 10)
	push(2, 0.002, 2, 20, 200)
	push(3, 0.040, 3, 30, 300)
	require.Equal(t, map[string]float64{"0": 2, "1": 20, "2": 200}, view(t, s, View{At: ms(2.002), AsOf: true}, 10).values)
	push(4, 0.002, 4, 40, 400)
	require.Equal(t, map[string]float64{"0": 3, "1": 30, "2": 300}, view(t, s, View{At: ms(3.040), AsOf: true}, 10).values)
}

// TestASilentSeriesWasLiveWhenItArrived: the moment that a survey reports for it is one
// at which a view shows it with the value that the survey reports. Floors rest on that.
func TestASilentSeriesWasLiveWhenItArrived(t *testing.T) {
	const pods = 5
	looked := 0
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 12))
		s, c := newStore(t, Options{Retention: time.Minute})
		lags := [pods]float64{0, 0, 0.3, 7, 40} // seconds, of each pod's clock or queue
		value := 0.0
		for now, round := 100.0, 0; round < 100; round++ {
			now += []float64{0.001, 1, 5, 5, 5, 20}[rnd.IntN(6)]
			c.at(now)
			a := s.Appender()
			for pod := range pods {
				lset := series("m", "pod", fmt.Sprint(pod))
				switch k := rnd.IntN(10); {
				case k < 6:
					value++
					_, _ = a.Append(lset, ms(now-lags[pod]), value)
				case k == 6:
					_, _ = a.End(lset, ms(now-lags[pod]))
				}
			}
			a.Commit()
			if rnd.IntN(10) == 0 {
				s, c = restoredAt(t, s, now+0.5, Options{Retention: time.Minute})
				now += 0.5
			}
			_, silent := survey(t, s, SurveyOptions{At: ms(now)})
			for pod, one := range silent {
				got := view(t, s, View{At: one.Arrived, AsOf: true}, 10)
				require.Contains(t, got.values, pod, "seed %d at %v: %+v", seed, now, one)
				require.InDelta(t, one.Value, got.values[pod], 0, "seed %d at %v: %+v", seed, now, one)
				require.NotEmpty(t, got.points[pod])
				looked++
			}
		}
	}
	require.Greater(t, looked, 1000)
}
