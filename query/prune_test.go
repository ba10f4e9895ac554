package query

import (
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

// TestPrune goes through the operators of which an operand matches nothing. Selectors
// are told by their names; that of an empty one begins with e.
func TestPrune(t *testing.T) {
	type is struct {
		expr            string // empty if nothing is left
		missing, needed []string
	}
	f := newFixture(t)
	for text, want := range map[string]is{
		`sum(x)`:                     {expr: `sum(x)`},
		`sum(e)`:                     {missing: []string{"e"}},
		`sum(rate(e[1m]))`:           {missing: []string{"e"}},
		`max_over_time(sum(e)[1m:])`: {missing: []string{"e"}},
		`-sum(e)`:                    {missing: []string{"e"}},
		`vector(1)`:                  {expr: `vector(1)`},

		// What can only add counts as nothing.
		`sum(x) + sum(e)`:                       {expr: `sum(x)`, missing: []string{"e"}},
		`sum(e) + sum(x)`:                       {expr: `sum(x)`, missing: []string{"e"}},
		`sum(e1) + sum(x) + sum(e2)`:            {expr: `sum(x)`, missing: []string{"e1", "e2"}},
		`sum(e1) + sum(e2)`:                     {missing: []string{"e1", "e2"}},
		`(sum(x) + sum(e)) * 2`:                 {expr: `(sum(x)) * 2`, missing: []string{"e"}},
		`ceil(sum(x) + sum(e))`:                 {expr: `ceil(sum(x))`, missing: []string{"e"}},
		`sum(x + e)`:                            {expr: `sum(x)`, missing: []string{"e"}},
		`max_over_time((sum(x) + sum(e))[1m:])`: {expr: `max_over_time((sum(x))[1m:])`, missing: []string{"e"}},
		`(sum(x) + sum(e)) / sum(y)`:            {expr: `(sum(x)) / sum(y)`, missing: []string{"e"}},
		`(sum(x) + sum(e)) - sum(y)`:            {expr: `(sum(x)) - sum(y)`, missing: []string{"e"}},
		`(sum(x) + sum(e)) > 5`:                 {expr: `(sum(x)) > 5`, missing: []string{"e"}},
		`sum(x) and (sum(y) + sum(e))`:          {expr: `sum(x) and (sum(y))`, missing: []string{"e"}},

		// What can be negative, or is subtracted, or divides, is needed.
		`sum(x) + sum(delta(e[1m]))`:              {needed: []string{"e"}},
		`sum(x) + (sum(e) - 5)`:                   {needed: []string{"e"}},
		`sum(x) - sum(e)`:                         {needed: []string{"e"}},
		`sum(e) - sum(x)`:                         {needed: []string{"e"}},
		`sum(x) * sum(e)`:                         {needed: []string{"e"}},
		`sum(x) / sum(e)`:                         {needed: []string{"e"}},
		`sum(e) / sum(x)`:                         {needed: []string{"e"}},
		`sum(x) % sum(e)`:                         {needed: []string{"e"}},
		`sum(x) ^ sum(e)`:                         {needed: []string{"e"}},
		`sum(x) and sum(e)`:                       {needed: []string{"e"}},
		`sum(e) and sum(x)`:                       {needed: []string{"e"}},
		`sum(x) > sum(e)`:                         {needed: []string{"e"}},
		`sum(x) > bool sum(e)`:                    {needed: []string{"e"}},
		`sum(x * on (pod) group_left (node) e)`:   {needed: []string{"e"}},
		`sum(x) * scalar(e)`:                      {needed: []string{"e"}},
		`sum(x) + scalar(sum(e))`:                 {needed: []string{"e"}},
		`clamp_max(sum(x), scalar(e))`:            {needed: []string{"e"}},
		`(sum(x) - sum(e)) + sum(y)`:              {needed: []string{"e"}},
		`sum(y) + (sum(x) - sum(e))`:              {needed: []string{"e"}},
		`ceil(sum(x) / sum(e))`:                   {needed: []string{"e"}},
		`(sum(x) * sum(e1)) + (sum(x) * sum(e2))`: {needed: []string{"e1", "e2"}},
		// Without a part of what is subtracted or divides, the value is no lower bound.
		`sum(x) / (sum(y) + sum(e))`: {needed: []string{"e"}},
		`sum(x) - (sum(y) + sum(e))`: {needed: []string{"e"}},
		`sum(x) > (sum(y) + sum(e))`: {needed: []string{"e"}},
		`-(sum(y) + sum(e))`:         {needed: []string{"e"}},

		// A number is no load.
		`sum(e) + 1`:            {missing: []string{"e"}},
		`1 - sum(e)`:            {missing: []string{"e"}},
		`sum(e) * 2`:            {missing: []string{"e"}},
		`sum(e) > 5`:            {missing: []string{"e"}},
		`vector(1) + sum(e)`:    {missing: []string{"e"}},
		`sum(x) + (sum(e) + 1)`: {expr: `sum(x)`, missing: []string{"e"}},

		// What the query itself provides for.
		`sum(x) or sum(e)`:                {expr: `sum(x)`},
		`sum(e) or sum(x)`:                {expr: `sum(x)`},
		`sum(e) or vector(0)`:             {expr: `vector(0)`},
		`(sum(e) or vector(0)) + sum(x)`:  {expr: `(vector(0)) + sum(x)`},
		`sum(x) - (sum(e) or vector(0))`:  {expr: `sum(x) - (vector(0))`},
		`sum(e1) or sum(e2)`:              {missing: []string{"e1", "e2"}},
		`sum(x unless e)`:                 {expr: `sum(x)`},
		`sum(e unless x)`:                 {missing: []string{"e"}},
		`sum(x) unless (sum(y) * sum(e))`: {expr: `sum(x)`},
		`absent(e)`:                       {expr: `absent(e)`},
		`absent_over_time(e[1m])`:         {expr: `absent_over_time(e[1m])`},
		`sum(x) + fill (0) sum(e)`:        {expr: `sum(x) + fill (0) sum(e)`},
	} {
		e := expr(t, f, text)
		selectors := selectorsOf(e)
		names := func(numbers []int) (names []string) {
			for _, i := range numbers {
				names = append(names, selectors[i].node.Name)
			}
			return names
		}
		before := e.String()
		empty := map[*parser.VectorSelector]int{}
		for i := range selectors {
			if selectors[i].node.Name[0] == 'e' {
				empty[selectors[i].node] = i
			}
		}
		out := prune(e, empty)
		got := is{missing: names(out.missing), needed: names(out.needed)}
		if out.expr != nil {
			got.expr = expr(t, f, out.expr.String()).String()
			want.expr = expr(t, f, want.expr).String()
		}
		require.Equal(t, want, got, text)
		require.Equal(t, before, e.String(), "the query itself stays")
	}
}

func TestPruneWithoutEmptySelectorsLeavesTheQuery(t *testing.T) {
	f := newFixture(t)
	for _, text := range shapes {
		p := f.plan(text, LastOne)
		out := prune(p.expr, nil)
		require.Same(t, p.expr, out.expr, text)
		require.Empty(t, out.missing)
		require.Empty(t, out.needed)
	}
}

func TestUnfiltered(t *testing.T) {
	f := newFixture(t)
	for text, want := range map[string]string{ // empty if the query has no filter
		`sum(x)`:                           ``,
		`sum(x) > bool 5`:                  ``,
		`sum(x) and sum(y)`:                ``,
		`sum(x) or sum(y)`:                 ``,
		`1 > bool 2`:                       ``,
		`sum(x) > 5`:                       `sum(x) > bool 5`,
		`5 < sum(x)`:                       `5 < bool sum(x)`,
		`sum(x) == 5`:                      `sum(x) == bool 5`,
		`sum(x) > sum(y)`:                  `sum(x) > bool sum(y)`,
		`sum(x > 5)`:                       `sum(x > bool 5)`,
		`(sum(x) > 5) + 1`:                 `(sum(x) > bool 5) + 1`,
		`sum(x) + (sum(y) > 5)`:            `sum(x) + (sum(y) > bool 5)`,
		`sum(x) > 1 < 5`:                   `sum(x) > bool 1 < bool 5`,
		`absent(x)`:                        `vector(1)`,
		`sum(absent_over_time(x[1m]))`:     `sum(vector(1))`,
		`sum(x unless y)`:                  `sum(x)`,
		`-(sum(x) > 5)`:                    `-(sum(x) > bool 5)`,
		`ceil(sum(x) > 5)`:                 `ceil(sum(x) > bool 5)`,
		`clamp(sum(x) > 5, 1, 2)`:          `clamp(sum(x) > bool 5, 1, 2)`,
		`max_over_time((sum(x) > 5)[1m:])`: `max_over_time((sum(x) > bool 5)[1m:])`,
		`(sum(x) > 5) and sum(y)`:          `(sum(x) > bool 5) and sum(y)`,
		`sum(x) > 5 or sum(y) > 5`:         `sum(x) > bool 5 or sum(y) > bool 5`,
	} {
		e := expr(t, f, text)
		before := e.String()
		got := unfiltered(e)
		if want == "" {
			require.Same(t, e, got, text)
			continue
		}
		require.Equal(t, expr(t, f, want).String(), got.String(), text)
		require.Equal(t, before, e.String(), "the query itself stays")
	}
}
