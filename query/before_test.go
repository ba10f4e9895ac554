package query

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// TestTheNewestLossesAreLookedAt: a retention of ten minutes may have more moments
// than an answer has time for.
func TestTheNewestLossesAreLookedAt(t *testing.T) {
	const pods = maxMoments + 20
	f := newFixture(t)
	f.store = store.New(store.Options{Now: f.now, Retention: 10 * time.Minute})
	e, err := New(Options{Store: f.store, Retention: 10 * time.Minute})
	require.NoError(t, err)
	p, err := e.Compile(`sum(x)`, LastOne)
	require.NoError(t, err)

	var last []int64 // of each pod, a second apart
	for first := range pods + 10 {
		a := f.store.Appender()
		for pod := max(0, first-10); pod < pods; pod++ { // all of them ten times before the first is gone
			_, err := a.Append(labels.FromStrings(labels.MetricName, "x", "pod", fmt.Sprint(pod)), f.ms.Load(), 1)
			require.NoError(t, err)
		}
		a.Commit()
		if first >= 10 {
			last = append(last, f.ms.Load())
		}
		f.wait(time.Second)
	}
	f.wait(30 * time.Second)
	_, err = p.Read(t.Context(), f.now())
	var empty *EmptyError
	require.ErrorAs(t, err, &empty)
	require.Equal(t, pods, empty.Lost.Count)
	values, err := p.valuesAt(t.Context(), empty.Lost)
	require.NoError(t, err)
	require.Equal(t, last[pods-maxMoments:], slices.Sorted(maps.Keys(values)))
	most, ok := p.Before(t.Context(), empty.Lost)
	require.True(t, ok)
	require.InDelta(t, maxMoments+9, most, 0, "as many as there were at the first of these, with those who were silent for less than ten seconds")
}

// TestWhoIsBackFirstLeavesThemWhole: the first that fell silent comes back before
// those who were seen last when it was missing.
func TestWhoIsBackFirstLeavesThemWhole(t *testing.T) {
	f := newFixture(t)
	p := f.plan(`sum(x)`, LastOne)
	load := map[string]float64{"a": 4, "b": 2, "c": 3}
	push := func(seconds int, pods ...string) {
		for range seconds {
			f.wait(time.Second)
			a := f.store.Appender()
			for _, pod := range pods {
				_, err := a.Append(labels.FromStrings(labels.MetricName, "x", "pod", pod), f.ms.Load(), load[pod])
				require.NoError(t, err)
			}
			a.Commit()
		}
	}
	push(10, "a", "b", "c")
	push(12, "b", "c")
	r, err := p.Read(t.Context(), f.now())
	require.NoError(t, err)
	require.InDelta(t, 5, r.Value, 0)
	f.wait(12 * time.Second)
	_, err = p.Read(t.Context(), f.now())
	var empty *EmptyError
	require.ErrorAs(t, err, &empty)
	most, ok := p.Before(t.Context(), empty.Lost)
	require.True(t, ok)
	require.InDelta(t, 9, most, 0)

	push(4, "a")
	r, err = p.Read(t.Context(), f.now())
	require.NoError(t, err)
	require.InDelta(t, 4, r.Value, 0)
	require.Equal(t, 2, r.Lost.Count)
	most, ok = p.Before(t.Context(), r.Lost)
	require.True(t, ok)
	require.InDelta(t, 9, most, 0, "b and c were seen last when a was missing")

	load["a"] = 1
	push(30, "a", "b", "c")
	push(12, "a", "c")
	r, err = p.Read(t.Context(), f.now())
	require.NoError(t, err)
	require.Equal(t, 1, r.Lost.Count)
	most, ok = p.Before(t.Context(), r.Lost)
	require.True(t, ok)
	require.InDelta(t, 6, most, 0, "the next loss is another one")
}

// TestWhatWasIsForgottenAfterARetention: losses that overlap one another, of a pod
// each, do not hold for ever what the whole was at the first.
func TestWhatWasIsForgottenAfterARetention(t *testing.T) {
	f := newFixture(t)
	p := f.plan(`sum(x)`, LastOne)
	const pods, turn = 10, 20 // seconds
	most := make([]float64, 0, 200)
	for second := range cap(most) {
		f.wait(time.Second)
		a := f.store.Appender()
		for pod := range pods {
			if away := second - turn*(pod+1); away >= 0 && away < turn+15 {
				continue // its turn to be silent, and a part of the next one's
			}
			load := 1.0
			if second < turn {
				load = 10
			}
			_, err := a.Append(labels.FromStrings(labels.MetricName, "x", "pod", fmt.Sprint(pod)), f.ms.Load(), load)
			require.NoError(t, err)
		}
		a.Commit()
		r, err := p.Read(t.Context(), f.now())
		require.NoError(t, err)
		v, ok := p.Before(t.Context(), r.Lost)
		if r.Lost.Count == 0 || !ok {
			v = r.Value
		}
		most = append(most, v)
	}
	require.InDelta(t, 10*pods, most[turn+15], 0, "a pod was lost when each had ten times the load")
	require.InDelta(t, 10*pods, most[turn+100], 0, "there was always one missing since")
	require.InDelta(t, pods-1, most[turn+160], 0, "that was a retention before the newest loss")
}
