package query

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

var ours = Scope{"namespace", "a"}

// shapes are queries of every kind of expression that has selectors below it.
var shapes = []string{
	`x`, `(x)`, `x{b="c"}`, `{"a.b"}`, `{__name__=~"x|y"}`, `-x`, `sum(x)`, `sum by (pod) (x) / ignoring (pod) y`, `x or y`, `x unless y`,
	`rate(x[1m])`, `max_over_time(rate(x[1m])[1m:5s])`, `sum(x offset 5s) + sum(y @ end())`, `topk(scalar(y), x)`, `quantile(scalar(x), y)`,
	`histogram_quantile(0.9, sum by (le) (rate(x_bucket[1m])))`, `absent(x)`, `label_replace(x, "a", "$1", "b", "(.*)")`, `info(x)`,
	`info(x, {b="c"})`, `count_values("v", x)`, `clamp(x, scalar(y), 2)`, `vector(1)`, `held_rate(x[1m])`, `limitk(2, x)`, `sort_by_label(x, "a")`,
	`sum(x{b=c, d="e"})`, `avg(http.server/requests{b=c})`, `sum(rate(x[1m]){namespace="a", deployment="d"})`, `sum(x{b=c}{namespace="a", deployment="d"})`,
	`x{namespace="a"}`, `x{namespace=~"a|b"}`, `x{namespace!="b"}`,
}

// requireBounded fails if a selector of what is evaluated reaches further.
func requireBounded(t *testing.T, f *fixture, p *Plan, scope Scope) {
	t.Helper()
	expr, err := f.parser.ParseExpr(p.String())
	require.NoError(t, err)
	seen := 0
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if vs, ok := n.(*parser.VectorSelector); ok {
			seen++
			require.True(t, scope.bounds(vs.LabelMatchers), "%s in %s", vs, p)
		}
		return nil
	})
	require.Len(t, p.selectors, seen)
	for i := range p.selectors {
		require.True(t, scope.bounds(p.selectors[i].matchers), "%s", p)
	}
	if d := newDirect(p.expr); d != nil {
		require.True(t, scope.bounds(d.selector.LabelMatchers), "%s", p)
	}
}

func TestEverySelectorIsWithinTheScope(t *testing.T) {
	f := newFixture(t)
	for _, text := range shapes {
		p, err := f.Compile(ours, text, LastOne)
		require.NoError(t, err, text)
		requireBounded(t, f, p, ours)
	}
	for _, over := range []OverTime{Avg, Min, Max, Count, Rate} {
		p, err := f.Compile(ours, `sum(x{b=c})`, over)
		require.NoError(t, err)
		requireBounded(t, f, p, ours)
	}
}

func TestTheMatcherIsNotWrittenTwice(t *testing.T) {
	f := newFixture(t)
	p, err := f.Compile(ours, `sum(x{namespace="a"})`, LastOne)
	require.NoError(t, err)
	require.Equal(t, `sum(x{namespace="a"})`, p.String())
	require.NotNil(t, newDirect(p.expr))
}

// TestAQueryForAnotherNamespaceIsRefused: "no series" would be answered with zero.
func TestAQueryForAnotherNamespaceIsRefused(t *testing.T) {
	f := newFixture(t)
	f.load(`x{namespace="b"} 1`)
	for _, text := range []string{
		`x{namespace="b"}`, `x{namespace!="a"}`, `x{namespace=""}`, `x{namespace=~"b|c"}`, `x{namespace!~"a|b"}`, `absent(x{namespace="b"})`,
		`vector(1) or x{namespace="b"}`, `sum(x{namespace=b})`, `sum(rate(x[1m]){namespace="b", deployment="d"})`, `max_over_time(x{namespace="b"}[1m:5s])`,
		`x{namespace="a", namespace="b"}`,
	} {
		_, err := f.Compile(ours, text, LastOne)
		require.ErrorIs(t, err, ErrBadQuery, text)
		require.ErrorContains(t, err, `sees only series with namespace="a"`, text)
	}
	_, err := f.Compile(Scope{Label: "namespace"}, `x`, LastOne)
	require.ErrorContains(t, err, "it is empty")
}

// TestScopesShareNothing: two namespaces' plans of one text, asked twice since
// the first answer may stand.
func TestScopesShareNothing(t *testing.T) {
	f := newFixture(t)
	f.load(`
		x{namespace="a", pod="p"} 1x3
		x{namespace="b", pod="q"} 10x3
		x{pod="r"} 100x3`)
	for _, text := range []string{`x`, `sum(x) + 0`, `max_over_time(sum(x)[10s:5s])`, `sum({__name__=~"x"})`} {
		for range 2 {
			for namespace, want := range map[string]float64{"a": 1, "b": 10} {
				p, err := f.Compile(Scope{"namespace", namespace}, text, LastOne)
				require.NoError(t, err)
				v, ok, err := p.Eval(t.Context(), f.now())
				require.NoError(t, err)
				require.True(t, ok)
				require.InDelta(t, want, v, 0, "%s in %s", text, namespace)
			}
			require.InDelta(t, 111, f.value(`sum(`+text+`)`, LastOne), 0)
		}
	}
}

// TestInfoSeesTheScopeOnly: no selector names the series that info looks up.
func TestInfoSeesTheScopeOnly(t *testing.T) {
	f := newFixture(t)
	f.load(`
		x{namespace="a", instance="i", job="j"} 1
		target_info{namespace="b", instance="i", job="j", secret="s"} 1`)
	const asked = `count(info(x) unless on (secret) x)`
	require.InDelta(t, 1, f.value(asked, LastOne), 0, "without a scope it is there")
	p, err := f.Compile(ours, asked, LastOne)
	require.NoError(t, err)
	_, ok, err := p.Eval(t.Context(), f.now())
	require.NoError(t, err)
	require.False(t, ok)
}

// TestNothingLeaksOutOfOtherScopes: not a value of a label, a name or a count.
func TestNothingLeaksOutOfOtherScopes(t *testing.T) {
	f := newFixture(t)
	f.load(`
		secret_metric{namespace="b", deployment="secret", pod="secret-1"} 1
		secret_metric{namespace="b", deployment="secret", pod="secret-2"} 1
		mine{namespace="a", deployment="mine"} 1`)
	for text, advice := range map[string]string{
		`secret_metri`:                        `no metric is called "secret_metri"; there is nothing like it, but for example "mine"`,
		`secret_metric`:                       `no metric is called "secret_metric"; there is nothing like it, but for example "mine"`,
		`secret_metric{deployment="secre"}`:   `no metric is called "secret_metric"; there is nothing like it, but for example "mine"`,
		`mine{deployment="secret"}`:           `no series has deployment="secret"; there is nothing like it, but for example "mine"`,
		`{pod=~"secret.*"}`:                   `no series has pod=~"secret.*"; the 1 that match the rest have no such label, but deployment, namespace`,
		`mine{deployment="min"}`:              `no series has deployment="min"; there is "mine"`,
		`mine{deployment!="mine"}`:            `all 1 series that match the rest have deployment="mine"`,
		`secret_metric{deployment!="secret"}`: `no metric is called "secret_metric"; there is nothing like it, but for example "mine"`,
	} {
		p, err := f.Compile(ours, text, LastOne)
		require.NoError(t, err)
		e, err := p.Explain(t.Context(), 10)
		require.NoError(t, err)
		require.Zero(t, e.Selectors[0].Live)
		require.Empty(t, e.Selectors[0].Series)
		var all []string
		for _, m := range e.Selectors[0].Misses {
			all = append(all, m.String())
		}
		require.Contains(t, strings.Join(all, "\n"), advice, text)
		_, ok, err := p.Eval(t.Context(), f.now())
		require.NoError(t, err)
		require.False(t, ok)
		r, err := p.Open(func() {})
		require.NoError(t, err)
		defer r.Close()
		survey, err := r.Survey(t.Context(), 0)
		require.NoError(t, err)
		require.Zero(t, survey.Matched[0].Live)
		require.Empty(t, survey.Matched[0].Silent)
	}
	p, err := f.Compile(Scope{"namespace", "c"}, `mine{deployment="x"}`, LastOne)
	require.NoError(t, err)
	e, err := p.Explain(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, `no metric is called "mine"; nothing is stored yet with namespace="c", which is all that the query sees: has a Collector pushed, and with that label?`,
		e.Selectors[0].Misses[0].String())
}

func FuzzScope(f *testing.F) {
	for _, s := range shapes {
		f.Add(s, "last_one")
		f.Add(s, "rate")
	}
	fx := newFixture(&testing.T{})
	f.Fuzz(func(t *testing.T, text, op string) {
		over, err := ParseOverTime(op)
		if err != nil {
			return
		}
		p, err := fx.compile(text, over, ours)
		if err != nil {
			require.ErrorIs(t, err, ErrBadQuery)
			require.NotErrorIs(t, err, errUnscoped, text)
			return
		}
		requireBounded(t, fx, p, ours)
	})
}
