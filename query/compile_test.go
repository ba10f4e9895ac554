package query

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUnderstoodAs shows what each form of query is evaluated as.
func TestUnderstoodAs(t *testing.T) {
	const kserve = `{namespace="ns", deployment="d"})`
	f := newFixture(t)
	for _, tc := range []struct {
		name, text string
		over       OverTime
		want       string
	}{
		{"KServe's rendering of the page's query", `sum(vllm:num_requests_running{namespace="ns", deployment="huggingface-fbopt-predictor"})`, LastOne,
			`sum(vllm:num_requests_running{deployment="huggingface-fbopt-predictor",namespace="ns"})`},
		{"PromQL as it is", `histogram_quantile(0.95, sum by (le) (rate(x_bucket[1m]))) * 2`, LastOne,
			`histogram_quantile(0.95, sum by (le) (rate(x_bucket[1m]))) * 2`},
		{"a scalar", `scalar(x) + 1`, LastOne, `scalar(x) + 1`},
		{"a bare selector is summed", `x{a="b"}`, LastOne, `sum(x{a="b"})`},
		{"a bare selector in parentheses too", `(x)`, LastOne, `sum((x))`},
		{"no label matchers", `avg(x)`, LastOne, `avg(x)`},

		{"values without quotes", `sum(x{a=b, c=d-e.f/g})`, LastOne, `sum(x{a="b",c="d-e.f/g"})`},
		{"values with and without quotes", `max(x{a=b, c="d e", f='g'})`, LastOne, `max(x{a="b",c="d e",f="g"})`},
		{"op is sum when absent", `vllm:x{pod=p}`, LastOne, `sum(vllm:x{pod="p"})`},
		{"count and min", `count(x{a=b})`, LastOne, `count(x{a="b"})`},
		{"a comma at the end", `min(x{a=b,})`, LastOne, `min(x{a="b"})`},
		{"dots and slashes in a name", `sum(http.server/active_requests{a=b})`, LastOne, `sum(http_server_active_requests{a="b"})`},
		{"dots in a name, PromQL otherwise", `sum(http.server.requests{a="b"})`, LastOne, `sum(http_server_requests{a="b"})`},
		{"quoted UTF-8 names", `sum({"http.server/requests", "k8s.pod.name"="p"})`, LastOne, `sum(http_server_requests{k8s_pod_name="p"})`},
		{"UTF-8 names in clauses", `sum(sum by ("k8s.pod.name") (x) * on ("k8s.pod.name") group_left ("a.b") y)`, LastOne,
			`sum(sum by (k8s_pod_name) (x) * on (k8s_pod_name) group_left (a_b) y)`},
		{"bounds as /metrics pages show them", `sum(x_bucket{le="1.0"}) / sum(x_bucket{le!="2.50", quantile="0.50"})`, LastOne,
			`sum(x_bucket{le="1"}) / sum(x_bucket{le!="2.5",quantile="0.5"})`},
		{"+Inf stays", `sum(x_bucket{le="+Inf"})`, LastOne, `sum(x_bucket{le="+Inf"})`},

		{"avg over time", `sum(x{a="b"})`, Avg, `sum(avg_over_time(x{a="b"}[2m]) and x{a="b"})`},
		{"over time on a bare selector", `x{a=b}`, Max, `sum(max_over_time(x{a="b"}[2m]) and x{a="b"})`},
		{"min", `max(x)`, Min, `max(min_over_time(x[2m]) and x)`},
		{"count", `max(x)`, Count, `max(count_over_time(x[2m]) and x)`},
		{"rate", `sum(x)`, Rate, `sum(held_rate(x[2m]) and x)`},

		{"KServe around a function", `sum(rate(x[1m])` + kserve, LastOne, `sum(rate(x{deployment="d",namespace="ns"}[1m]))`},
		{"KServe around a selector", `sum(x{a="b"}` + kserve, LastOne, `sum(x{a="b",deployment="d",namespace="ns"})`},
		{"KServe around an aggregation", `sum(max by (pod) (x)` + kserve, LastOne, `sum(max by (pod) (x{deployment="d",namespace="ns"}))`},
		{"KServe around a quantile", `sum(histogram_quantile(0.95, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[1m])))` + kserve, LastOne,
			`sum(histogram_quantile(0.95, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket{deployment="d",namespace="ns"}[1m]))))`},
		{"KServe: every selector gets the matchers", `sum(sum(x{a="b"}) / sum(rate(y[1m]))` + kserve, LastOne,
			`sum(sum(x{a="b",deployment="d",namespace="ns"}) / sum(rate(y{deployment="d",namespace="ns"}[1m])))`},
		{"KServe around otel-add-on's grammar", `sum(avg(x{a=b})` + kserve, LastOne, `sum(avg(x{a="b",deployment="d",namespace="ns"}))`},
		{"KServe with over time", `sum(x{a="b"}` + kserve, Avg,
			`sum(avg_over_time(x{a="b",deployment="d",namespace="ns"}[2m]) and x{a="b",deployment="d",namespace="ns"})`},
		{"KServe around several lines", "sum(\n  max(x)\n" + kserve, LastOne, `sum(max(x{deployment="d",namespace="ns"}))`},
		{"valid PromQL means what it says", `sum(a or b{namespace="ns", deployment="d"})`, LastOne, `sum(a or b{deployment="d",namespace="ns"})`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := f.Compile(Scope{}, tc.text, tc.over)
			require.NoError(t, err)
			want, err := f.parser.ParseExpr(tc.want)
			require.NoError(t, err)
			require.Equal(t, want.String(), sortMatchers(t, f, p.String()))
		})
	}
}

// sortMatchers prints a query with its matchers in the order of the wanted ones.
func sortMatchers(t *testing.T, f *fixture, text string) string {
	t.Helper()
	expr, err := f.parser.ParseExpr(strings.NewReplacer(
		`{namespace="ns",deployment="d"}`, `{deployment="d",namespace="ns"}`,
		`{namespace="ns",deployment="huggingface-fbopt-predictor"}`, `{deployment="huggingface-fbopt-predictor",namespace="ns"}`,
		`,namespace="ns",deployment="d"}`, `,deployment="d",namespace="ns"}`,
	).Replace(text))
	require.NoError(t, err)
	return expr.String()
}

func TestBadQueriesSayWhatToWrite(t *testing.T) {
	f := newFixture(t)
	for _, tc := range []struct {
		name, text string
		over       OverTime
		want       []string
	}{
		{"empty", "  ", LastOne, []string{"is empty", exampleSelector}},
		{"too long", strings.Repeat("x", maxQueryLength+1), LastOne, []string{"16385 bytes"}},
		{"not closed", `sum(x`, LastOne, []string{"neither PromQL", "unclosed"}},
		{"where the fault is", `sum(x) + +* y`, LastOne, []string{"at character 11", `before "* y"`}},
		{"a range", `x[1m]`, LastOne, []string{"range of samples", "sum(rate(x[1m]))"}},
		{"a string", `"x"`, LastOne, []string{"is a string, not a number"}},
		{"over time and PromQL", `sum(rate(x[1m]))`, Avg, []string{"operationOverTime=avg", "leave operationOverTime out", "avg_over_time"}},
		{"rate over time and PromQL", `sum(x) / 2`, Rate, []string{"sum(rate(vllm:num_requests_running[1m]))"}},
		{"over time and a clause", `sum by (pod) (x)`, Avg, []string{"operationOverTime=avg"}},
		{"KServe around nonsense", `sum(rate(x[1m){namespace="ns", deployment="d"})`, LastOne,
			[]string{"KServe put", `behind the InferenceService's query "rate(x[1m)"`, "not valid by itself", "character"}},
		{"KServe around a range", `sum(x[1m]{namespace="ns", deployment="d"})`, LastOne, []string{"range of samples", "rate(x[1m])"}},
		{"KServe around a number", `sum(5{namespace="ns", deployment="d"})`, LastOne, []string{"belongs to no pod"}},
		{"a name that can't be stored", `sum({"ä "})`, LastOne, []string{"can't be the name of anything stored", `"ä "`}},
		{"unknown function", `rte(x[1m])`, LastOne, []string{"unknown function", "rte"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := f.Compile(Scope{}, tc.text, tc.over)
			require.ErrorIs(t, err, ErrBadQuery)
			for _, w := range tc.want {
				require.ErrorContains(t, err, w)
			}
		})
	}
}

func TestSyntaxErrorsPointAtTheFault(t *testing.T) {
	f := newFixture(t)
	for _, tc := range []struct{ text, fault, before string }{
		{`sum(x) + +* y`, `sum(x) + +* y`, `* y`},
		{`sum(x`, `sum(x`, ``},
		{`sum(rate(x[1m){namespace="ns", deployment="d"})`, `rate(x[1m)`, `)`},
	} {
		_, err := f.Compile(Scope{}, tc.text, LastOne)
		var syntax *SyntaxError
		require.ErrorAs(t, err, &syntax, tc.text)
		require.Equal(t, tc.fault, syntax.Text)
		require.Equal(t, tc.before, syntax.Text[syntax.Offset:], tc.text)
	}
}

func TestCompileOnceAndBounded(t *testing.T) {
	f := newFixture(t)
	e, err := New(Options{Store: f.store, CacheSize: 10})
	require.NoError(t, err)
	a, err := e.Compile(Scope{}, "sum(x)", LastOne)
	require.NoError(t, err)
	b, err := e.Compile(Scope{}, "sum(x)", LastOne)
	require.NoError(t, err)
	require.Same(t, a, b)
	c, err := e.Compile(Scope{}, "sum(x)", Avg)
	require.NoError(t, err)
	require.NotSame(t, a, c, "the same text with another operation is another query")
	_, first := e.Compile(Scope{}, "sum(", LastOne)
	_, second := e.Compile(Scope{}, "sum(", LastOne)
	require.Same(t, first, second, "faults are kept, too") //nolint:testifylint // identity is the point
	for i := range 100 {
		_, err := e.Compile(Scope{}, fmt.Sprintf("x%d", i), LastOne)
		require.NoError(t, err)
	}
	require.Equal(t, 10, e.plans.Len())
}

func TestMetricIsTheFirstName(t *testing.T) {
	f := newFixture(t)
	for text, want := range map[string]string{
		`sum(vllm:x) / sum(y)`:     "vllm:x",
		`sum({"a.b"})`:             "a_b",
		`sum({__name__=~"a|b"})`:   "",
		`vector(1)`:                "",
		`sum({job="a"}) + sum(zz)`: "zz",
	} {
		require.Equal(t, want, f.plan(text, LastOne).Metric(), text)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`sum(vllm:num_requests_running{namespace="ns", deployment="d"})`, `avg(x{a=b, c="d"})`,
		`sum(rate(x[1m]){namespace="ns", deployment="d"})`, `{"a.b", "c.d"="e"}`, `x{le="1.0"}`,
		`max_over_time(x[1m:5s] @ end() offset 1m)`, `sum(`, "a/b{c=d}", `x{a=~"b|c"} and on("u.v") y`,
	} {
		f.Add(s, "last_one")
		f.Add(s, "rate")
	}
	fx := newFixture(&testing.T{})
	f.Fuzz(func(t *testing.T, text, op string) {
		over, err := ParseOverTime(op)
		if err != nil {
			return
		}
		p, err := fx.compile(text, over, Scope{})
		if err != nil {
			require.ErrorIs(t, err, ErrBadQuery)
			return
		}
		if len(p.String()) > maxQueryLength {
			return // escaped bytes make it longer than what Compile reads
		}
		// What a query is understood as is itself a query, and stays as it is.
		again, err := fx.compile(p.String(), LastOne, Scope{})
		require.NoError(t, err, "%q was understood as %q", text, p)
		require.Equal(t, p.String(), again.String())
	})
}
