package query

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

func TestValues(t *testing.T) {
	f := newFixture(t)
	f.load(`
		run{pod="a", ns="x"}  1 2 3 4
		run{pod="b", ns="x"}  5 5 5 6
		run{pod="c", ns="y"}  9 9 9 9
		neg                  -3 -3 -3 -3
		total{pod="a"}        0 10 20 30
		total{pod="b"}        100 110 5 15
		b_bucket{le="1"}      0 5 10 15
		b_bucket{le="2"}      0 10 20 30
		b_bucket{le="+Inf"}   0 10 20 30
	`)
	for _, tc := range []struct {
		text string
		over OverTime
		want float64
	}{
		{`sum(run{ns="x"})`, LastOne, 10},
		{`run{ns=x}`, LastOne, 10},
		{`avg(run{ns=x})`, LastOne, 5},
		{`min(run)`, LastOne, 4},
		{`count(run)`, LastOne, 3},
		{`neg`, LastOne, -3},
		{`sum(neg)`, Avg, -3},
		{`sum(run{ns="x"})`, Avg, 2.5 + 5.25},
		{`max(run{ns="x"})`, Min, 5},
		{`sum(run{ns="x"})`, Max, 10},
		{`sum(run{ns="x"})`, Count, 8},
		// 30 in 15 s; and 10, then a restart at 5, then 10 in 15 s.
		{`sum(total)`, Rate, 2 + 25.0/15},
		{`max(total{pod=a})`, Rate, 2},
		{`sum(run) > bool 1`, LastOne, 1},
		{`scalar(neg) * 2`, LastOne, -6},
		{`histogram_quantile(0.5, sum by (le) (increase(b_bucket[15s])))`, LastOne, 1},
		{`sum(total offset 5s)`, LastOne, 25},
		{`max_over_time(sum(run)[15s:5s])`, LastOne, 19},
		{`vector(7)`, LastOne, 7},
	} {
		v, err := f.eval(tc.text, tc.over)
		require.NoError(t, err, tc.text)
		require.InDelta(t, tc.want, v, 1e-12, "%s %s", tc.over, tc.text)
	}
}

func TestResultThatIsNotOneFiniteNumberIsAnError(t *testing.T) {
	f := newFixture(t)
	f.load(`
		x{pod="a"} 1
		x{pod="b"} 0
	`)
	a := f.store.Appender()
	_, err := a.AppendHistogram(labels.FromStrings(labels.MetricName, "h"), f.ms.Load(), &histogram.FloatHistogram{Count: 1})
	require.NoError(t, err)
	a.Commit()
	for text, want := range map[string][]string{
		`x * 2`:        {"yields 2 series", `{pod="a"} and {pod="b"}`, "sum(...)"},
		`sum(x) / 0`:   {"is +Inf", "or vector(0)"},
		`sum(x) * NaN`: {"is NaN"},
		`scalar(x)`:    {"is NaN"},
		`sum(h)`:       {"native histogram", "histogram_quantile"},
	} {
		_, err := f.eval(text, LastOne)
		require.ErrorIs(t, err, ErrNotOneNumber, text)
		for _, w := range want {
			require.ErrorContains(t, err, w)
		}
	}
	_, err = f.eval(`x * on() x`, LastOne)
	require.ErrorIs(t, err, ErrEvaluation)
	require.ErrorContains(t, err, "many-to-many")
}

func TestQueryBeyondItsSampleLimitFails(t *testing.T) {
	f := newFixture(t)
	f.load(`x 1x20`)
	e, err := New(Options{Store: f.store, MaxSamples: 5})
	require.NoError(t, err)
	p, err := e.Compile(`sum_over_time(x[2m])`, LastOne)
	require.NoError(t, err)
	_, err = p.Eval(t.Context(), f.now())
	require.ErrorIs(t, err, ErrEvaluation)
	require.ErrorContains(t, err, "too many samples")
}

func TestCancelledQueryFails(t *testing.T) {
	f := newFixture(t)
	f.load(`x 1`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.plan(`x`, LastOne).Eval(ctx, f.now())
	require.ErrorIs(t, err, ErrEvaluation)
}

// TestPodThatIsOverHasNoSay: neither the last value nor an operation over time
// of a dead pod stays in the result for the retention.
func TestPodThatIsOverHasNoSay(t *testing.T) {
	for _, over := range []OverTime{LastOne, Avg, Min, Max, Count, Rate} {
		f := newFixture(t)
		f.load(`
			x{pod="dies"}  1 1 1
			x{pod="lives"} 1 1 1 1 1
		`)
		both, err := f.eval(`count(x)`, over)
		require.NoError(t, err)
		require.InDelta(t, 2, both, 0, "ten seconds of silence are not enough for %s", over)
		f.load(`x{pod="lives"} _ 1`)
		alone, err := f.eval(`count(x)`, over)
		require.NoError(t, err)
		require.InDelta(t, 1, alone, 0, over)
	}
}

func TestWhyEmpty(t *testing.T) {
	reason := func(f *fixture, text string) *EmptyError {
		t.Helper()
		_, err := f.eval(text, LastOne)
		var empty *EmptyError
		require.ErrorAs(t, err, &empty)
		return empty
	}
	t.Run("never seen", func(t *testing.T) {
		f := newFixture(t)
		f.load(`y 1`)
		e := reason(f, `sum(x)`)
		require.Equal(t, NeverSeen, e.Reason)
		require.ErrorContains(t, e, "no series matches")
		require.Equal(t, NeverSeen, reason(f, `sum(x) / sum(y)`).Reason)
	})
	t.Run("ended by markers", func(t *testing.T) {
		f := newFixture(t)
		f.load(`
			x{pod="a"} 1 1 stale
			x{pod="b"} 1 stale
			y          1 1 1
		`)
		require.Equal(t, Ended, reason(f, `sum(x)`).Reason)
		require.Equal(t, Ended, reason(f, `sum(x) / sum(y)`).Reason)
		require.ErrorContains(t, reason(f, `x`), "all 2 series have ended")
	})
	t.Run("gone without a word", func(t *testing.T) {
		f := newFixture(t)
		f.load(`
			x{pod="a"} 1 1 stale _ _ _ _
			x{pod="b"} 1 1 1     _ _ _ _
			y          1 1 1     1 1 1 1
		`)
		for _, text := range []string{`sum(x)`, `sum(x) / sum(y)`} {
			e := reason(f, text)
			require.Equal(t, Gone, e.Reason, text)
			require.Equal(t, f.now().Add(-20*time.Second).UnixMilli(), e.GoneAt.UnixMilli())
			v, err := f.plan(text, LastOne).Eval(t.Context(), e.GoneAt)
			require.NoError(t, err)
			require.InDelta(t, 1, v, 0, "the value up to which they were there")
		}
	})
	t.Run("gone at different times", func(t *testing.T) {
		f := newFixture(t)
		f.load(`
			x 1 1 1 _ _ _ _ _ _
			y 2 2 2 2 2 _ _ _ _
		`)
		for _, text := range []string{`sum(x) + sum(y)`, `sum(y) + sum(x)`} {
			e := reason(f, text)
			v, err := f.plan(text, LastOne).Eval(t.Context(), e.GoneAt)
			require.NoError(t, err)
			require.InDelta(t, 3, v, 0, "when both were there")
			require.Equal(t, f.now().Add(-30*time.Second).UnixMilli(), e.GoneAt.UnixMilli())
		}
	})
	t.Run("filtered", func(t *testing.T) {
		f := newFixture(t)
		f.load(`x 1 1`)
		require.Equal(t, Filtered, reason(f, `sum(x) > 5`).Reason)
		require.Equal(t, Filtered, reason(f, `x unless x`).Reason)
		_, err := f.eval(`sum(x) > bool 5`, LastOne)
		require.NoError(t, err)
	})
	t.Run("gone weighs more than filtered", func(t *testing.T) {
		f := newFixture(t)
		f.load(`x 1 1 1 _ _ _ _`)
		require.Equal(t, Gone, reason(f, `sum(x) > 5`).Reason)
	})
	t.Run("too few", func(t *testing.T) {
		f := newFixture(t)
		f.load(`x 1`)
		e := reason(f, `sum(rate(x[1m]))`)
		require.Equal(t, TooFew, e.Reason)
		require.ErrorContains(t, e, "two samples")
	})
	t.Run("a query that names nothing", func(t *testing.T) {
		f := newFixture(t)
		require.Equal(t, NeverSeen, reason(f, `vector(1) > 2`).Reason)
	})
}

// restless is a listener to whom everything is news.
type restless struct{}

func (restless) Settled(float64, bool) bool { return false }

func TestWatchOfAPlan(t *testing.T) {
	f := newFixture(t)
	w, err := f.plan(`sum(x{ns="a"}) / sum(y)`, LastOne).Watch(restless{})
	require.NoError(t, err)
	defer w.Close()
	f.load(`x{ns="b"} 1`)
	require.Empty(t, w.Changed())
	f.load(`x{ns="a"} 1`)
	<-w.Changed()
	w.Arm()
	f.load(`y 1`)
	<-w.Changed()
}

func TestParseOverTime(t *testing.T) {
	for in, want := range map[string]OverTime{
		"": LastOne, "last_one": LastOne, "avg": Avg, "min": Min, "max": Max, "count": Count, "rate": Rate,
	} {
		got, err := ParseOverTime(in)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := ParseOverTime("median")
	require.ErrorContains(t, err, `"median" is none of last_one, avg`)
}

func TestEmptyErrorIsFoundBehindWrapping(t *testing.T) {
	f := newFixture(t)
	_, err := f.eval(`x`, LastOne)
	require.NotErrorIs(t, err, ErrNotOneNumber)
	require.True(t, errors.As(err, new(*EmptyError)))
}

// TestEvaluationDoesNotChangeStoredHistograms: the engine adds histograms up in
// place.
func TestEvaluationDoesNotChangeStoredHistograms(t *testing.T) {
	f := newFixture(t)
	for i := range 3 {
		f.wait(5 * time.Second)
		a := f.store.Appender()
		for _, pod := range []string{"a", "b"} {
			_, err := a.AppendHistogram(labels.FromStrings(labels.MetricName, "h", "pod", pod), f.ms.Load(), &histogram.FloatHistogram{
				Count: float64(10 * i), Sum: float64(20 * i),
				PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []float64{float64(10 * i)},
			})
			require.NoError(t, err)
		}
		a.Commit()
	}
	for range 3 {
		for text, want := range map[string]float64{
			`histogram_count(sum(h))`:                            40,
			`histogram_avg(sum(increase(h[10s])))`:               2,
			`histogram_count(sum(h + h))`:                        80,
			`histogram_count(sum(rate(h[10s]))) * 10`:            40,
			`histogram_quantile(1, sum(h)) > bool 0`:             1,
			`histogram_sum(sum(sum_over_time(h[15s]))) / 2 / 10`: 6,
		} {
			v, err := f.eval(text, LastOne)
			require.NoError(t, err, text)
			require.InDelta(t, want, v, 1e-9, text)
		}
	}
}
