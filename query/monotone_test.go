package query

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

func TestMonotone(t *testing.T) {
	f := newFixture(t)
	for text, want := range map[string]bool{
		`sum(x)`:                         true,
		`x`:                              true, // it is summed
		`max(x)`:                         true,
		`count(x)`:                       true,
		`avg(x)`:                         false,
		`min(x)`:                         false,
		`quantile(0.9, x)`:               false,
		`stddev(x)`:                      false,
		`topk(1, x)`:                     false,
		`scalar(x)`:                      false,
		`scalar(sum(x))`:                 true,
		`sum(rate(x[1m]))`:               true,
		`sum(increase(x[1m]))`:           true,
		`sum(avg_over_time(x[1m]))`:      true,
		`sum(delta(x[1m]))`:              false,
		`max(delta(x[1m]))`:              true,
		`sum(predict_linear(x[1m], 60))`: false,
		`sum(-x)`:                        false,
		`sum(x - 5)`:                     false,
		`max(x - 5)`:                     true,
		`sum(x > 5)`:                     true,
		`sum(x < 5)`:                     true,
		`sum(5 / x)`:                     true,
		`sum(5 - x)`:                     false,
		`sum(ln(x))`:                     false,
		`sum(x * y)`:                     false,
		`sum(x and y)`:                   false,
		`sum(x unless y)`:                false,
		`sum(vector(1) unless x)`:        false,
		`sum(max by (pod) (x))`:          true,
		`sum(avg by (pod) (x))`:          false,
		`count(sum by (pod) (x) > 5)`:    true,
		`max(sum by (pod) (x) / 2)`:      true,

		`sum(x) + sum(y)`:               true,
		`sum(x) + max(y) * count(z)`:    true,
		`sum(x) * -1`:                   false,
		`sum(x) / 5`:                    true,
		`sum(x) / -5`:                   false,
		`5 / sum(x)`:                    false,
		`sum(x) / sum(y)`:               false,
		`sum(x) - 5`:                    true,
		`5 - sum(x)`:                    false,
		`sum(x) - sum(y)`:               false,
		`sum(x) > 5`:                    true,
		`sum(x) >= 5`:                   true,
		`sum(x) > bool 5`:               true,
		`sum(x) < 5`:                    false,
		`5 < sum(x)`:                    false,
		`sum(x) == 5`:                   false,
		`sum(x) > sum(y)`:               false,
		`sum(x) % 5`:                    false,
		`sum(x) ^ 2`:                    false,
		`sum(x) or vector(0)`:           true,
		`(sum(x) - 5) or vector(0)`:     false,
		`sum(x) or sum(y)`:              true, // as far as x and y are not read together
		`sum(x) and sum(y)`:             false,
		`absent(x)`:                     false,
		`sum(absent(x))`:                false,
		`sum(x) + absent(x)`:            false,
		`vector(7)`:                     true,
		`-sum(x)`:                       false,
		`(sum(x))`:                      true,
		`sum(x) + fill(0) sum(y)`:       true,
		`sum(x) + fill(5) sum(y)`:       false,
		`sum(x) + fill(0) (sum(y) - 5)`: false,

		`clamp_max(sum(x), 5)`:                               true,
		`clamp(sum(x), 1, 5)`:                                true,
		`clamp_min(sum(x), scalar(avg(y)))`:                  false,
		`sum(clamp_min(x, scalar(avg(y))))`:                  false,
		`sum(clamp_min(x, 3))`:                               true,
		`ceil(sum(x) / 5)`:                                   true,
		`sum(histogram_quantile(0.9, x))`:                    false,
		`sum(histogram_fraction(0, 1, x))`:                   false,
		`histogram_quantile(0.9, sum by (le) (rate(x[1m])))`: false,

		`max_over_time(sum(x)[1m:5s])`:           true,
		`max_over_time(avg(x)[1m:5s])`:           false,
		`sum_over_time(sum(x)[1m:5s])`:           true,
		`sum_over_time((sum(x) - 5)[1m:5s])`:     false,
		`last_over_time(sum(x)[1m:5s])`:          true,
		`avg_over_time(sum(x)[1m:5s])`:           true,
		`avg_over_time(sum(x > 5)[1m:5s])`:       false,
		`min_over_time((sum(x) > 5)[1m:5s])`:     false,
		`max_over_time((sum(x) > 5)[1m:5s])`:     true,
		`rate(sum(x)[1m:5s])`:                    false,
		`sum(max_over_time(rate(x[1m])[1m:5s]))`: true,
	} {
		require.Equal(t, want, f.plan(text, LastOne).Monotone(), text)
	}
	require.True(t, f.plan(`sum(x)`, Max).Monotone() == monotone(expr(t, f, `sum(max_over_time(x[2m]) and x)`)))
}

// someQuery returns a random query of one number.
func someQuery(rnd *rand.Rand, depth int) string {
	of := func(all ...string) string { return all[rnd.IntN(len(all))] }
	vector := func() string {
		name := of("x", "y", `{__name__=~"x|y"}`, `x{pod=~"1|2"}`)
		switch rnd.IntN(5) {
		case 0:
			return fmt.Sprintf("%s(%s[%s])", of("rate", "increase", "max_over_time", "count_over_time", "delta", "avg_over_time"), of("x", "y"), of("10s", "20s"))
		case 1:
			return fmt.Sprintf("(%s %s %s)", name, of("+", "-", "*", "/", ">", "<", "> bool"), of("2", "5"))
		case 2:
			return fmt.Sprintf("%s(%s, %s)", of("clamp_min", "clamp_max", "round"), of("x", "y"), of("3", "scalar(avg(y))", "scalar(max(y))"))
		case 3:
			return fmt.Sprintf("%s by (pod) (%s)", of("sum", "max", "count", "avg", "min"), name)
		}
		return name
	}
	if depth == 0 || rnd.IntN(4) == 0 {
		return fmt.Sprintf("%s(%s)", of("sum", "max", "count", "min", "avg"), vector())
	}
	inner := someQuery(rnd, depth-1)
	switch rnd.IntN(6) {
	case 0:
		return fmt.Sprintf("(%s %s %s)", inner, of("+", "*", "-", "/", "+ fill(0)", "+ fill(3)"), someQuery(rnd, depth-1))
	case 1:
		return fmt.Sprintf("(%s %s %s)", inner, of("+", "-", "*", "/", ">", ">=", "<", "> bool"), of("2", "5", "-1"))
	case 2:
		return fmt.Sprintf("(%s or vector(0))", inner)
	case 3:
		return fmt.Sprintf("%s(%s)", of("ceil", "floor", "clamp_max", "clamp_min"), inner)
	case 4:
		return fmt.Sprintf("%s(%s[20s:5s])", of("max_over_time", "min_over_time", "avg_over_time", "sum_over_time", "count_over_time", "last_over_time"), inner)
	}
	return inner
}

// TestSeriesNeverLowerAMonotoneQuery, whatever the series and the query, as long as
// the series are not negative. (The value of `a or b` is one of b until a has one, so
// that of two queries it is monotone only in series of one.)
func TestSeriesNeverLowerAMonotoneQuery(t *testing.T) {
	f := newFixture(t)
	compared, rose, other := 0, 0, 0
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		f.store = store.New(store.Options{Now: f.now})
		e, err := New(Options{Store: f.store})
		require.NoError(t, err)
		var all []labels.Labels
		for i := range 2 + rnd.IntN(5) {
			all = append(all, labels.FromStrings(labels.MetricName, []string{"x", "y"}[rnd.IntN(2)], "pod", fmt.Sprint(i)))
		}
		for range 5 {
			f.wait(5 * time.Second)
			a := f.store.Appender()
			for _, lset := range all {
				_, err := a.Append(lset, f.ms.Load(), float64(rnd.IntN(12)))
				require.NoError(t, err)
			}
			a.Commit()
		}
		text := someQuery(rnd, 3)
		p, err := e.Compile(Scope{}, text, LastOne)
		if err != nil {
			continue // clamp_max of one argument, say
		}
		if !p.Monotone() {
			other++
			continue
		}
		r, err := p.Open(func() {})
		require.NoError(t, err)
		view := View{At: f.ms.Load(), Without: map[SeriesID]struct{}{}}
		a := f.store.Appender()
		for _, lset := range all {
			view.Without[SeriesID{a.Lookup(lset)}] = struct{}{}
		}
		var last Value
		for _, i := range append([]int{-1}, rnd.Perm(len(all))...) {
			if i >= 0 {
				delete(view.Without, SeriesID{a.Lookup(all[i])})
			}
			v, err := r.Value(t.Context(), view)
			if err != nil {
				require.ErrorIs(t, err, ErrNotOneNumber, text) // no number is no lower bound
				break
			}
			if last.State == HasValue {
				require.Equal(t, HasValue, v.State, "seed %d: %s", seed, text)
				require.GreaterOrEqual(t, v.V, last.V-1e-9, "seed %d: %s", seed, text)
				compared++
				if v.V > last.V {
					rose++
				}
			}
			last = v
		}
		r.Close()
	}
	t.Logf("%d values compared, %d were higher; %d queries were not monotone", compared, rose, other)
	require.Greater(t, compared, 1500)
	require.Greater(t, rose, 500)
	require.Greater(t, other, 300)
}
