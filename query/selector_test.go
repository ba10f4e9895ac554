package query

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

// expr parses a query as the engine does.
func expr(t *testing.T, f *fixture, text string) parser.Expr {
	t.Helper()
	e, err := f.parser.ParseExpr(text)
	require.NoError(t, err, text)
	return e
}

// TestSelectors goes through what a selector's place in a query says about its
// series. The selectors' names are theirs.
func TestSelectors(t *testing.T) {
	type is struct {
		window                            time.Duration
		accumulates, zeroCounts, optional bool
	}
	const s, m = time.Second, time.Minute
	f := newFixture(t)
	for text, want := range map[string]map[string]is{
		// How far back it is read.
		`sum(x)`:                                         {"x": {}},
		`sum(x offset 30s)`:                              {"x": {window: 30 * s}},
		`sum(x offset -30s)`:                             {"x": {}},
		`sum(x @ end())`:                                 {"x": {}},
		`sum(avg_over_time(x[5m]))`:                      {"x": {window: 5 * m}},
		`sum(rate(x[5m] offset 1m))`:                     {"x": {window: 6 * m, accumulates: true}},
		`max_over_time(sum(rate(x[1m]))[10m:1m])`:        {"x": {window: 11 * m, accumulates: true}},
		`max_over_time(sum(x)[10m:1m] offset 2m)`:        {"x": {window: 12 * m}},
		`max_over_time(sum(x)[5m:])`:                     {"x": {window: 5 * m}},
		`max_over_time(max_over_time(sum(x)[5m:])[4m:])`: {"x": {window: 9 * m}},

		// Functions that add up what happened in the window.
		`sum(increase(x[1m]))`:                      {"x": {window: m, accumulates: true}},
		`sum(irate(x[1m]))`:                         {"x": {window: m, accumulates: true}},
		`sum(count_over_time(x[1m]))`:               {"x": {window: m, accumulates: true, zeroCounts: true}},
		`sum(sum_over_time(x[1m]))`:                 {"x": {window: m, accumulates: true}},
		`sum(changes(x[1m]))`:                       {"x": {window: m, accumulates: true, zeroCounts: true}},
		`sum(held_rate(x[1m]))`:                     {"x": {window: m, accumulates: true}},
		`sum(max_over_time(x[1m]))`:                 {"x": {window: m}},
		`sum(delta(x[1m]))`:                         {"x": {window: m}},
		`sum(rate((x[1m])))`:                        {"x": {window: m, accumulates: true}},
		`sum_over_time(sum(x)[1m:])`:                {"x": {window: m}},
		`max_over_time(rate(x[1m])[1m:])`:           {"x": {window: 2 * m, accumulates: true, zeroCounts: true}},
		`sum(rate(x[1m]) and max_over_time(y[2m]))`: {"x": {window: m, accumulates: true}, "y": {window: 2 * m, zeroCounts: true}},

		// Whether a series at zero changes the result.
		`max(x)`:                    {"x": {}},
		`count(x)`:                  {"x": {zeroCounts: true}},
		`avg(x)`:                    {"x": {zeroCounts: true}},
		`min(x)`:                    {"x": {zeroCounts: true}},
		`quantile(0.9, x)`:          {"x": {zeroCounts: true}},
		`sum(1 - x)`:                {"x": {zeroCounts: true}},
		`sum(x - 1)`:                {"x": {zeroCounts: true}},
		`sum(x + 1)`:                {"x": {zeroCounts: true}},
		`sum(x * 2)`:                {"x": {}},
		`sum(x / y)`:                {"x": {}, "y": {zeroCounts: true}},
		`sum(x) / sum(y)`:           {"x": {}, "y": {}},
		`sum(x % 7)`:                {"x": {}},
		`sum(x > 5)`:                {"x": {}},
		`sum(x >= 0)`:               {"x": {}},
		`sum(x > bool 5)`:           {"x": {zeroCounts: true}},
		`sum(x > y)`:                {"x": {zeroCounts: true}, "y": {zeroCounts: true}},
		`sum by (pod) (x)`:          {"x": {zeroCounts: true}},
		`max(sum by (pod) (x))`:     {"x": {}},
		`count(sum by (pod) (x))`:   {"x": {zeroCounts: true}},
		`sum(sum by (pod) (x) / 2)`: {"x": {}},
		`sum(clamp_min(x, 1))`:      {"x": {zeroCounts: true}},
		`sum(clamp_max(x, 1))`:      {"x": {}},
		`sum(exp(x))`:               {"x": {zeroCounts: true}},
		`sum(abs(ceil(x)))`:         {"x": {}},
		`sum(-x)`:                   {"x": {}},
		`scalar(x)`:                 {"x": {zeroCounts: true}},
		`sum(label_replace(x, "a", "$1", "b", "(.*)"))`:      {"x": {}},
		`histogram_quantile(0.9, sum by (le) (rate(x[1m])))`: {"x": {window: m, accumulates: true, zeroCounts: true}},

		// Whether the query provides for it to be empty.
		`sum(x) or vector(0)`:               {"x": {optional: true}},
		`sum(x or y)`:                       {"x": {optional: true, zeroCounts: true}, "y": {optional: true, zeroCounts: true}},
		`sum(x unless y)`:                   {"x": {}, "y": {optional: true, zeroCounts: true}},
		`absent(x)`:                         {"x": {optional: true, zeroCounts: true}},
		`absent_over_time(x[1m])`:           {"x": {window: m, accumulates: true, optional: true, zeroCounts: true}},
		`sum(x) and sum(y)`:                 {"x": {}, "y": {}},
		`sum(x) + fill(0) sum(y)`:           {"x": {optional: true}, "y": {optional: true}},
		`sum(x) + fill_right(0) sum(y)`:     {"x": {optional: true}, "y": {optional: true}},
		`(sum(x) or vector(0)) + sum(y)`:    {"x": {optional: true}, "y": {}},
		`clamp_max(sum(x), scalar(sum(y)))`: {"x": {}, "y": {}},
	} {
		got := map[string]is{}
		for _, one := range selectorsOf(expr(t, f, text)) {
			window := time.Duration(one.window) * time.Millisecond
			got[one.node.Name] = is{window, one.accumulates, one.zeroCounts, one.optional}
		}
		require.Equal(t, want, got, text)
	}
}

func TestSelectorsStandInTheOrderOfTheQuery(t *testing.T) {
	p := newFixture(t).plan(`sum(b) / (sum(a{x="y"}) + sum(b))`, LastOne)
	require.Len(t, p.selectors, 3)
	for i, want := range []string{`b`, `a{x="y"}`, `b`} {
		require.Equal(t, want, p.Selector(i))
	}
}

func TestSpanIsThatOfTheLongestWindow(t *testing.T) {
	f := newFixture(t)
	for text, want := range map[string]time.Duration{
		`sum(x)`:                                0,
		`sum(rate(x[1m])) + sum(rate(y[5m]))`:   5 * time.Minute,
		`max_over_time(sum(rate(x[1m]))[10m:])`: 11 * time.Minute,
		`sum(x offset 90s)`:                     90 * time.Second,
	} {
		require.Equal(t, want, f.plan(text, LastOne).Span(), text)
	}
	require.Equal(t, 2*time.Minute, f.plan(`sum(x)`, Avg).Span())
}

// TestAQueryThatReadsTooFarBackIsRejected names the window, what is stored, the flag
// and what to write.
func TestAQueryThatReadsTooFarBackIsRejected(t *testing.T) {
	f := newFixture(t)
	for text, window := range map[string]string{
		`sum(rate(x[20m]))`:                     "20m",
		`sum(x) + sum(rate(x[15m] offset 1s))`:  "15m1s",
		`max_over_time(sum(x)[10m:] offset 6m)`: "16m",
		`max_over_time(sum(rate(x[5m]))[11m:])`: "16m",
		`sum(x offset 1d)`:                      "1d",
	} {
		_, err := f.Compile(Scope{}, text, LastOne)
		require.ErrorIs(t, err, ErrBadQuery, text)
		require.ErrorIs(t, err, ErrWindow, text)
		require.ErrorContains(t, err, "the query reads samples from longer ago than they are stored: those of the last "+window+" (range, offset and subquery together), "+
			"and samples are stored for 15m (--max-retention); write a shorter window, such as [5m]")
	}
	require.NotNil(t, f.plan(`sum(rate(x[15m]))`, LastOne))
	check, err := New(Options{MaxRetention: 15 * time.Minute}) // as `check` does, which has no store
	require.NoError(t, err)
	_, want := f.Compile(Scope{}, `sum(rate(x[20m]))`, LastOne)
	_, got := check.Compile(Scope{}, `sum(rate(x[20m]))`, LastOne)
	require.EqualError(t, got, want.Error())
	e, err := New(Options{Store: f.store, MaxRetention: 5 * time.Minute})
	require.NoError(t, err)
	_, err = e.Compile(Scope{}, `sum(rate(x[6m]))`, LastOne)
	require.ErrorContains(t, err, "stored for 5m")
}
