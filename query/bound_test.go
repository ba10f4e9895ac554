package query

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSubqueriesAreBounded before they are evaluated, at 1000 points; what they
// are made of is not.
func TestSubqueriesAreBounded(t *testing.T) {
	f := newFixture(t)
	e, err := New(Options{Store: f.store, MaxSamples: 1000, MaxRetention: math.MaxInt64})
	require.NoError(t, err)
	engine, _ := e.PromQL()
	for _, tc := range []struct {
		query        string
		instant      string // points that are too many; empty if they are not
		overElevenOf string // the same for a query of eleven steps
	}{
		{"max_over_time(x[30y:1ms])", "9.461e+11", "1.041e+13"},
		{"max_over_time(x[290y])", "", ""},
		{"max_over_time(x[999s:1s])", "", "1.1e+04"},
		{"max_over_time(x[1000s:1s])", "1001", "1.101e+04"},
		{"max_over_time(x[4995s:])", "", "1.1e+04"}, // a step of five seconds
		{"max_over_time(x[5000s:])", "1001", "1.101e+04"},
		{"max_over_time(x[89s:1s])", "", ""},
		{"max_over_time(x[90s:1s])", "", "1001"},
		{"max_over_time(x[1s:1h])", "", ""},
		{"max_over_time(x[499s:1s]) + max_over_time(x[499s:1s])", "", "1.1e+04"},
		{"max_over_time(x[499s:1s]) + max_over_time(x[500s:1s])", "1001", "1.101e+04"},
		{"max_over_time(max_over_time(x[30s:1s])[30s:1s])", "", "1.091e+04"},
		{"max_over_time(max_over_time(x[31s:1s])[31s:1s])", "1056", "1.162e+04"},
		{"max_over_time(x[999s:1s] @ 0)", "", ""}, // evaluated once
		{"max_over_time(max_over_time(x[31s:1s] @ 0)[31s:1s])", "", ""},
		{"max_over_time(x[1000s:1s] @ end())", "1001", "1001"},
	} {
		_, err := e.Compile(Scope{}, tc.query, LastOne)
		q, instantErr := engine.NewInstantQuery(t.Context(), f.store, nil, tc.query, f.now())
		if tc.instant == "" {
			require.NoError(t, err, tc.query)
			require.NoError(t, instantErr, tc.query)
			q.Close()
		} else {
			require.ErrorIs(t, err, ErrBadQuery)
			for _, err := range []error{err, instantErr} {
				require.ErrorContains(t, err, "the subqueries have "+tc.instant+" points for each series, of 1000 that an evaluation may have", tc.query)
			}
		}
		q, err = engine.NewRangeQuery(t.Context(), f.store, nil, tc.query, f.now(), f.now().Add(109*time.Second), 10*time.Second)
		if tc.overElevenOf == "" {
			require.NoError(t, err, tc.query)
			q.Close()
			continue
		}
		require.ErrorContains(t, err, "have "+tc.overElevenOf+" points", tc.query)
	}
	_, err = engine.NewInstantQuery(t.Context(), f.store, nil, "sum(", f.now())
	require.ErrorContains(t, err, "unclosed left parenthesis")
}
