package query

import (
	"context"
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
		require.InDelta(t, tc.want, f.value(tc.text, tc.over), 1e-12, "%s %s", tc.over, tc.text)
	}
}

func TestResultThatIsNotOneNumberIsAnError(t *testing.T) {
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
		`x * 2`:  {"yields 2 series", `{pod="a"} and {pod="b"}`, "sum(...)"},
		`sum(h)`: {"native histogram", "histogram_quantile"},
	} {
		_, _, err := f.eval(text, LastOne)
		require.ErrorIs(t, err, ErrNotOneNumber, text)
		for _, w := range want {
			require.ErrorContains(t, err, w)
		}
	}
	_, _, err = f.eval(`x * on() x`, LastOne)
	require.ErrorIs(t, err, ErrEvaluation)
	require.ErrorContains(t, err, "many-to-many")
}

// TestResultThatIsNotFiniteNamesTheReason: KEDA would read it as 0.
func TestResultThatIsNotFiniteNamesTheReason(t *testing.T) {
	const other = "such as a quantile of no observations"
	f := newFixture(t)
	f.load(`
		x{pod="a"}         1 1 1
		x{pod="b"}         0 0 0
		zero               0 0 0
		odd{pod="a"}       1 1 1
		odd{pod="b"}       1 1 NaN
		huge{pod="c"}       1 1 +Inf
		b_bucket{le="1"}    0 0 0
		b_bucket{le="+Inf"} 0 0 0
	`)
	for text, want := range map[string][]string{
		`sum(x) / 0`:                                  {"is +Inf", "its divisor 0 is 0", "write clamp_min(0, 1)"},
		`sum(x) / sum(zero)`:                          {"is +Inf", "its divisor sum(zero) is 0", "write clamp_min(sum(zero), 1) in its place"},
		`sum(zero) % sum(zero)`:                       {"is NaN", "its divisor sum(zero) is 0"},
		`sum(x / on() group_left() zero)`:             {"is NaN", "its divisor zero is 0"},
		`2 + sum(x) / scalar(zero)`:                   {"is +Inf", "its divisor scalar(zero) is 0"},
		`max_over_time((sum(x) / sum(zero))[10s:5s])`: {"is +Inf", other}, // which of its moments, is not known
		`sum(odd)`:                                    {"is NaN", `the series {__name__="odd", pod="b"} is`, "such as sum(odd >= 0)"},
		`sum(x) + sum(huge)`:                          {"is +Inf", `the series {__name__="huge", pod="c"} is`, "such as sum(huge >= 0)"},
		`scalar(x)`:                                   {"is NaN", other, `write (scalar(x)) >= 0`},
		`sum(x) * NaN`:                                {"is NaN", other},
		`histogram_quantile(0.5, sum by (le) (rate(b_bucket[1m])))`: {"is NaN", other, "write (histogram_quantile(0.5, sum by (le) (rate(b_bucket[1m])))) >= 0, which is 0 then"},
	} {
		r := f.open(text)
		for _, eval := range []func() error{
			func() error { _, _, err := f.eval(text, LastOne); return err },
			func() error { _, err := r.Value(t.Context(), View{At: f.ms.Load()}); return err },
		} {
			err := eval()
			require.ErrorIs(t, err, ErrNotOneNumber, text)
			for _, w := range want {
				require.ErrorContains(t, err, w, text)
			}
		}
	}
	for text, want := range map[string]float64{ // as the errors advise
		`sum(x) / clamp_min(sum(zero), 1)`: 1,
		`sum(odd >= 0)`:                    1,
	} {
		require.InDelta(t, want, f.value(text, LastOne), 0, text)
	}
	v, err := f.open(`(histogram_quantile(0.5, sum by (le) (rate(b_bucket[1m])))) >= 0`).Value(t.Context(), View{At: f.ms.Load()})
	require.NoError(t, err)
	require.Equal(t, Value{State: Filtered}, v, "which is 0 then")
}

func TestQueryBeyondItsSampleLimitFails(t *testing.T) {
	f := newFixture(t)
	f.load(`x 1x20`)
	e, err := New(Options{Store: f.store, MaxSamples: 5})
	require.NoError(t, err)
	p, err := e.Compile(Scope{}, `sum_over_time(x[2m])`, LastOne)
	require.NoError(t, err)
	_, _, err = p.Eval(t.Context(), f.now())
	require.ErrorIs(t, err, ErrEvaluation)
	require.ErrorContains(t, err, "too many samples")
}

func TestCancelledQueryFails(t *testing.T) {
	f := newFixture(t)
	f.load(`x 1`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := f.plan(`x`, LastOne).Eval(ctx, f.now())
	require.ErrorIs(t, err, ErrEvaluation)
}

// TestALatePodDoesNotCount: neither the last value nor an operation over time of a
// dead pod stays in the result for the retention.
func TestALatePodDoesNotCount(t *testing.T) {
	for _, over := range []OverTime{LastOne, Avg, Min, Max, Count, Rate} {
		f := newFixture(t)
		f.load(`
			x{pod="dies"}  1 1 1
			x{pod="lives"} 1 1 1 1
		`)
		f.wait(2499 * time.Millisecond)
		require.InDelta(t, 2, f.value(`count(x)`, over), 0, "less than one and a half push intervals are not enough for %s", over)
		f.wait(time.Millisecond)
		require.InDelta(t, 1, f.value(`count(x)`, over), 0, over)
	}
}

func TestEvalHasNoValueWithoutSeries(t *testing.T) {
	f := newFixture(t)
	f.load(`
		late  1 1 1 _ _
		ended 1 1 1 stale _
		x     1 1 1 1 1
		few   _ _ _ _ 1
	`)
	for _, text := range []string{`never`, `late`, `ended`, `sum(x) / sum(late)`, `sum(x) > 5`, `sum(rate(few[1m]))`, `vector(1) > 2`} {
		v, ok, err := f.eval(text, LastOne)
		require.NoError(t, err, text)
		require.False(t, ok, text)
		require.Zero(t, v, text)
	}
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
			require.InDelta(t, want, f.value(text, LastOne), 1e-9, text)
		}
	}
}
