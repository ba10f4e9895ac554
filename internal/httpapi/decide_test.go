package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
)

// newDecidingFixture has a scaler behind /keda, as package serve sets it up.
func newDecidingFixture(t testing.TB, o scaler.Options, changes ...func(*Options)) *fixture {
	t.Helper()
	var answers *scaler.Server
	f := newFixture(t, append(changes, func(o *Options) {
		o.Decide = func(ctx context.Context, namespace, text string) (float64, error) {
			v, err := answers.Answer(ctx, namespace, text)
			if errors.Is(err, query.ErrBadQuery) {
				err = BadQuery(err)
			}
			return v, err
		}
	})...)
	o.Queries, o.Now = f.queries, f.now
	var err error
	answers, err = scaler.New(o)
	require.NoError(t, err)
	return f
}

// keda asks as KEDA's prometheus trigger does, at a time in whole seconds.
func (f *fixture) keda(t testing.TB, text, at string) (code int, body string) {
	t.Helper()
	w := f.do(get(t.Context(), "/keda/api/v1/query?query="+url.QueryEscape(text)+"&time="+url.QueryEscape(at)))
	return w.Code, w.Body.String()
}

// TestEveryInstantQueryUnderKEDAIsDecided, whatever its time: one element, or an
// error.
func TestEveryInstantQueryUnderKEDAIsDecided(t *testing.T) {
	var asked []string
	value, failure := 40.0, error(nil)
	decides := func(o *Options) {
		o.Decide = func(_ context.Context, namespace, text string) (float64, error) {
			require.Empty(t, namespace)
			asked = append(asked, text)
			return value, failure
		}
	}
	f := newFixture(t, decides)
	f.load(t, pods)
	for at, labelled := range map[string]string{
		"":             "1700000010", // now
		"1700000010":   "1700000010",
		"1700000009":   "1700000010", // sent within the last second
		"1700000008":   "1700000008", // KEDA's clock is 2 s late
		"1700000012":   "1700000012", // and 2 s ahead
		"1600000000":   "1600000000",
		"1700000010.5": "1700000010.500",
	} {
		code, body := f.keda(t, "running", at)
		require.Equal(t, http.StatusOK, code, at)
		require.JSONEq(t, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[`+labelled+`,"40"]}]}}`, body, at)
		require.Equal(t, []string{"sum(running)"}, asked, at)
		asked = nil
		failure = errors.New("the series went silent under load")
		code, body = f.keda(t, "running", at)
		require.Equal(t, http.StatusUnprocessableEntity, code, at)
		require.JSONEq(t, `{"status":"error","errorType":"execution","error":"the series went silent under load"}`, body, at)
		asked, failure = nil, nil
	}
	for _, path := range []string{
		"/api/v1/query?query=running",
		"/keda/api/v1/query_range?query=running&start=1700000000&end=1700000000&step=1",
		"/keda/api/v1/query?query=running&time=now",
	} {
		require.NotContains(t, f.do(get(t.Context(), path)).Body.String(), `"40"`, path)
	}
	require.Empty(t, asked)

	everywhere := newFixture(t, decides, func(o *Options) { o.SumSelectors = true })
	require.Contains(t, everywhere.do(get(t.Context(), "/api/v1/query?query=running")).Body.String(), `"40"`)
	require.Equal(t, []string{"sum(running)"}, asked)
}

// TestKEDAReadsNoZero where the result is no number, or is empty because data is
// missing: KEDA's prometheus trigger reads these as 0.
func TestKEDAReadsNoZero(t *testing.T) {
	const clockLate = "1700000008" // KEDA's, by 2 s
	for _, tc := range []struct {
		name, query, err string
		code             int
	}{
		{"infinity", `sum(running) / sum(idle)`, "its divisor sum(idle) is 0; write clamp_min(sum(idle), 1) in its place", http.StatusUnprocessableEntity},
		{"NaN under load", `sum(running) + sum(broken)`, `the series {__name__="broken"} is; leave it out by a filter inside the aggregation`, http.StatusUnprocessableEntity},
		{"NaN of a quantile", `histogram_quantile(0.9, sum by (le) (rate(h_bucket[1m]))) + 0 * sum(running)`, "such as a quantile of no observations", http.StatusUnprocessableEntity},
		{"a matrix", `running[1m]`, "is a range of samples, not a number", http.StatusBadRequest},
		{"a string", `"running"`, "is a string, not a number", http.StatusBadRequest},
		{"several elements", `running + 0`, "yields 2 series", http.StatusUnprocessableEntity},
		{"no query", ``, "the query is empty", http.StatusBadRequest},
		{"no PromQL", `sum(`, "is neither PromQL nor", http.StatusBadRequest},
		{"a window beyond the maximum", `sum(rate(running[1h]))`, "samples are stored for 15m (--max-retention)", http.StatusBadRequest},
		{"an operand that is not there", `sum(running) * sum(nothing)`, "no series matches nothing", http.StatusUnprocessableEntity},
		{"one sample in the window", `sum(rate(running[4s]))`, "a range needs at least two samples", http.StatusUnprocessableEntity},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newDecidingFixture(t, scaler.Options{})
			f.load(t, pods+`
				broken             NaN NaN NaN
				h_bucket{le="1"}    0 0 0
				h_bucket{le="+Inf"} 0 0 0
			`)
			code, body := f.keda(t, tc.query, clockLate)
			require.Equal(t, tc.code, code, body)
			var e errorBody
			decode(t, body, &e)
			require.Contains(t, e.Error, tc.err)
		})
	}
}

// TestWhatKEDAIsAnswered where there is one number.
func TestWhatKEDAIsAnswered(t *testing.T) {
	f := newDecidingFixture(t, scaler.Options{})
	f.load(t, pods)
	for text, value := range map[string]string{
		`running`:                       "33",
		`sum(running)`:                  "33",
		`1`:                             "1", // a scalar
		`scalar(sum(running))`:          "33",
		`vector(7)`:                     "7",
		`running > 100`:                 "0", // a comparison removed it
		`nothing`:                       "0", // never seen
		`idle`:                          "0",
		`sum(running) + sum(nothing)`:   "33", // at least
		`sum(running) or vector(0)`:     "33",
		`running{pod="a"}`:              "3",
		`sum(running) unless sum(none)`: "33",
	} {
		for _, at := range []string{"1700000008", "1700000010", "1700000012"} {
			code, body := f.keda(t, text, at)
			require.Equal(t, http.StatusOK, code, "%s: %s", text, body)
			require.JSONEq(t, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[`+at+`,"`+value+`"]}]}}`, body, text)
		}
	}
}

// TestKEDAHoldsWhileLoadIsSilent, until the series push again.
func TestKEDAHoldsWhileLoadIsSilent(t *testing.T) {
	f := newDecidingFixture(t, scaler.Options{})
	f.load(t, pods)
	at := func() string { return f.now().UTC().Format(time.RFC3339) }
	_, body := f.keda(t, "running", at())
	require.Contains(t, body, `"33"`)
	f.ms.Add(60_000) // late, and not forgotten: the last value
	code, body := f.keda(t, "running", at())
	require.Equal(t, http.StatusOK, code, body)
	require.Contains(t, body, `"33"`)
	f.ms.Add(120_000)
	code, body = f.keda(t, "running", at())
	require.Equal(t, http.StatusUnprocessableEntity, code, body)
	require.Contains(t, body, "the series went silent under load")
	f.load(t, pods)
	code, body = f.keda(t, "running", at())
	require.Equal(t, http.StatusOK, code, body)
	require.Contains(t, body, `"33"`)
}

// TestKEDAHoldsInTheWarmUp, whatever has come and whatever is asked.
func TestKEDAHoldsInTheWarmUp(t *testing.T) {
	f := newDecidingFixture(t, scaler.Options{WarmUp: 2 * time.Minute})
	f.load(t, pods)
	for _, text := range []string{"running", "nothing", "vector(0)"} {
		code, body := f.keda(t, text, "1700000008")
		require.Equal(t, http.StatusUnprocessableEntity, code, body)
		require.Contains(t, body, "the scaler waits until 2023-11-14T22:15:")
	}
	f.ms.Add(2 * time.Minute.Milliseconds())
	f.load(t, pods)
	code, body := f.keda(t, "running", "1700000000")
	require.Equal(t, http.StatusOK, code, body)
}

// TestAWindowBeyondTheRetentionIsWarnedOf over the HTTP API, since series that no
// trigger reads have no older samples.
func TestAWindowBeyondTheRetentionIsWarnedOf(t *testing.T) {
	f := newFixture(t)
	f.load(t, pods)
	for text, last := range map[string]string{
		`sum(rate(errors_total[5m]))`:                     "5m",
		`errors_total offset 3m`:                          "3m",
		`rate(errors_total[90s] offset 1m)`:               "2m30s",
		`max_over_time(rate(errors_total[1m])[2m:] )`:     "3m",
		`max_over_time(running[1m:10s] offset 90s)`:       "2m30s",
		`sum(running) + sum(rate(errors_total[10m]))`:     "10m",
		`sum(rate(errors_total[2m]))`:                     "",
		`running`:                                         "",
		`rate(errors_total[3m] offset -1m)`:               "",
		`max_over_time(running[1m:10s] offset 1m)`:        "",
		`vector(1) + scalar(sum(rate(errors_total[1m])))`: "",
	} {
		for _, path := range []string{
			"/api/v1/query?query=" + url.QueryEscape(text),
			"/api/v1/query_range?start=1700000000&end=1700000010&step=5&query=" + url.QueryEscape(text),
		} {
			w := f.do(get(t.Context(), path))
			require.Equal(t, http.StatusOK, w.Code, w.Body)
			if last == "" {
				require.NotContains(t, w.Body.String(), "--retention", text)
				continue
			}
			require.Contains(t, w.Body.String(),
				`"warnings":["PromQL warning: samples are stored for 2m (--retention); the query reads the last `+last+`"]`, text)
		}
	}
}
