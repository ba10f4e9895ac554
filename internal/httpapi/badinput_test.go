package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"
)

// TestRefused has the error of every parameter, in Prometheus' words.
func TestRefused(t *testing.T) {
	f := newFixture(t)
	f.load(t, pods)
	const resolution = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
	const perSeries = " for each series, of 1000 that an evaluation may have (--query-max-samples): shorten their ranges or lengthen their steps, for example [5m:5s]"
	for _, tc := range []struct {
		path, kind, message string
		code                int
	}{
		{"query", "bad_data", `invalid parameter "query": unknown position: parse error: no expression found in input`, 400},
		{"query?query=sum(", "bad_data", `invalid parameter "query": 1:5: parse error: unclosed left parenthesis`, 400},
		{"query?query=%FF", "bad_data", `invalid parameter "query": 1:1: parse error: unexpected character: '�'`, 400},
		{"query?query=%zz", "bad_data", `error parsing form values: invalid URL escape "%zz"`, 400},
		{"query?query=1;time=2", "bad_data", `error parsing form values: invalid semicolon separator in query`, 400},
		{"query?query=1&time=soon", "bad_data", `invalid parameter "time": invalid time value for 'time': cannot parse "soon" to a valid timestamp`, 400},
		{"query?query=1&time=NaN", "bad_data", `invalid parameter "time": invalid time value for 'time': cannot parse "NaN" to a valid timestamp`, 400},
		{"query?query=1&time=-Inf", "bad_data", `invalid parameter "time": invalid time value for 'time': cannot parse "-Inf" to a valid timestamp`, 400},
		{"query?query=1&time=1e300", "bad_data", `invalid parameter "time": invalid time value for 'time': cannot parse "1e300" to a valid timestamp`, 400},
		{"query?query=1&limit=-1", "bad_data", `invalid parameter "limit": limit must be non-negative`, 400},
		{"query?query=1&limit=x", "bad_data", `invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax`, 400},
		{"query?query=1&timeout=x", "bad_data", `invalid parameter "timeout": cannot parse "x" to a valid duration`, 400},
		{"query?query=1&timeout=-1s", "bad_data", `invalid parameter "timeout": cannot parse "-1s" to a valid duration`, 400},
		{"query?query=1&timeout=0", "bad_data", `invalid parameter "timeout": timeout must be positive, got 0s`, 400},
		{"query?query=1&timeout=1e30", "bad_data", `invalid parameter "timeout": cannot parse "1e30" to a valid duration. It overflows int64`, 400},
		{"query?query=1&lookback_delta=x", "bad_data", `error parsing lookback delta duration: cannot parse "x" to a valid duration`, 400},
		{"query?query=label_replace(running,%22pod%22,%22%22,%22%22,%22%22)", "execution", `vector cannot contain metrics with the same labelset`, 422},
		{"query_range?query=1", "bad_data", `invalid parameter "start": cannot parse "" to a valid timestamp`, 400},
		{"query_range?query=1&start=1", "bad_data", `invalid parameter "end": cannot parse "" to a valid timestamp`, 400},
		{"query_range?query=1&start=1&end=0&step=1", "bad_data", `invalid parameter "end": end timestamp must not be before start time`, 400},
		{"query_range?query=1&start=1&end=2", "bad_data", `invalid parameter "step": cannot parse "" to a valid duration`, 400},
		{"query_range?query=1&start=1&end=2&step=0", "bad_data", `invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer`, 400},
		{"query_range?query=1&start=1&end=1&step=0.0001", "bad_data", `invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer`, 400},
		{"query_range?query=x[1m]&start=1&end=2&step=1", "bad_data", `invalid parameter "query": invalid expression type "range vector" for range query, must be Scalar or instant Vector`, 400},
		{"query_range?query=1&start=0&end=11001&step=1", "bad_data", resolution, 400},
		{"query_range?query=1&start=0&end=946684800&step=1ms", "bad_data", resolution, 400}, // 30 years
		{"query_range?query=1&step=1e9&start=" + url.QueryEscape(minTimeText) + "&end=" + url.QueryEscape(maxTimeText), "bad_data", resolution, 400},
		{"query?query=max_over_time(idle[30y:1ms])", "bad_data", `invalid parameter "query": the subqueries have 9.461e+11 points` + perSeries, 400},
		{"query_range?query=max_over_time(idle[100s:1s])&start=0&end=10&step=1", "bad_data", `invalid parameter "query": the subqueries have 1111 points` + perSeries, 400},
		{"series", "bad_data", `no match[] parameter provided`, 400},
		{"series?match[]=a&start=x", "bad_data", `invalid parameter "start": invalid time value for 'start': cannot parse "x" to a valid timestamp`, 400},
		{"series?match[]={", "bad_data", `invalid parameter "match[]": 1:2: parse error: unexpected end of input inside braces`, 400},
		{`series?match[]={a=~".*"}`, "bad_data", `invalid parameter "match[]": match[] must contain at least one non-empty matcher`, 400},
		{`labels?match[]={a=""}`, "bad_data", `match[] must contain at least one non-empty matcher`, 400},
		{"labels?end=x", "bad_data", `invalid parameter "end": invalid time value for 'end': cannot parse "x" to a valid timestamp`, 400},
		{"label/%FF/values", "bad_data", `invalid label name: "\xff"`, 400},
		{"metadata?limit=x", "bad_data", "limit must be a number", 400},
		{"status/tsdb?limit=0", "bad_data", "limit must be a positive number", 400},
		{"status/tsdb?limit=10001", "bad_data", "limit must not exceed 10000", 400},
		{"format_query?query=(", "bad_data", `invalid parameter "query": 1:2: parse error: unclosed left parenthesis`, 400},
		{"parse_query", "bad_data", `invalid parameter "query": unknown position: parse error: no expression found in input`, 400},
		{"rules", "not_found", "there is no /api/v1/rules here; GET / lists what there is", 404},
	} {
		w := f.do(get(t.Context(), "/api/v1/"+strings.NewReplacer(`"`, "%22", "{", "%7B", " ", "%20").Replace(tc.path)))
		require.Equal(t, tc.code, w.Code, tc.path)
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		body := decodeError(t, w.Body)
		require.Equal(t, tc.kind, body.ErrorType, tc.path)
		require.Equal(t, tc.message, body.Error, tc.path)
	}
}

// TestRangesOfAnyLengthWithinTheResolution are as good as short ones.
func TestRangesOfAnyLengthWithinTheResolution(t *testing.T) {
	f := newFixture(t)
	f.load(t, pods)
	for _, path := range []string{
		"query_range?query=idle&start=0&end=946684800&step=1e6", // 30 years
		"query_range?query=idle&start=0&end=11000&step=1",
		"query?query=idle[100y]",
		"query?query=idle%20offset%20100y",
		"series?match[]=idle&start=" + url.QueryEscape(minTimeText) + "&end=" + url.QueryEscape(maxTimeText),
		"query?query=idle&time=" + url.QueryEscape(maxTimeText),
		"query?query=idle&lookback_delta=290y",
	} {
		w := f.do(get(t.Context(), "/api/v1/"+path))
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
	}
}

func TestBodies(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MaxBody = 100 })
	for _, tc := range []struct{ name, contentType, body, message string }{
		{"oversized", "application/x-www-form-urlencoded", "query=" + strings.Repeat("1", 100), "error parsing form values: http: request body too large"},
		{"malformed", "application/x-www-form-urlencoded", "query=%", `error parsing form values: invalid URL escape "%"`},
		{"a type of nothing", "a/b/c", "query=1", "error parsing form values: mime: unexpected content after media subtype"},
		{"JSON", "application/json", `{"query":"1"}`, `invalid parameter "query": unknown position: parse error: no expression found in input`},
		{"multipart", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\n1\r\n--x--\r\n", `invalid parameter "query": unknown position: parse error: no expression found in input`},
		{"none", "", "", `invalid parameter "query": unknown position: parse error: no expression found in input`},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/query", strings.NewReader(tc.body))
		r.Header.Set("Content-Type", tc.contentType)
		w := f.do(r)
		require.Equal(t, http.StatusBadRequest, w.Code, tc.name)
		require.Equal(t, tc.message, decodeError(t, w.Body).Error, tc.name)
	}
	w := f.do(post(t.Context(), "/api/v1/query?query=2", url.Values{"query": {"1"}}))
	require.Contains(t, w.Body.String(), `"1"]`, "the body's parameter comes first")
}

// faulty is a queryable that panics, or fails.
type faulty struct{ err error }

func (q faulty) Querier(int64, int64) (storage.Querier, error) { return faultyQuerier{err: q.err}, nil }

type faultyQuerier struct {
	storage.Querier
	err error
}

func (q faultyQuerier) Close() error { return nil }
func (q faultyQuerier) Select(context.Context, bool, *storage.SelectHints, ...*labels.Matcher) storage.SeriesSet {
	if q.err == nil {
		panic("a bad mood")
	}
	return storage.ErrSeriesSet(q.err)
}

func TestPanicsAreOneRequestsFailure(t *testing.T) {
	log := &strings.Builder{}
	f := newFixture(t, func(o *Options) {
		o.Queryable = faulty{}
		o.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	w := f.do(get(t.Context(), "/api/v1/series?match[]=a"))
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.JSONEq(t, `{"status":"error","errorType":"internal","error":"internal error; the server's log has the stack"}`, w.Body.String())
	require.Contains(t, log.String(), "a bad mood")
	require.Contains(t, log.String(), "faultyQuerier.Select")
	require.InDelta(t, 1, testutil.ToFloat64(f.metrics.panics), 0)
	require.InDelta(t, 1, testutil.ToFloat64(f.metrics.requests.WithLabelValues("/api/v1/series", "500")), 0)
	require.NoError(t, f.Stop(t.Context())) // the place and the lock were given back
}

// TestPanicInTheMiddle: what is half out must not look whole.
func TestPanicInTheMiddle(t *testing.T) {
	f := newFixture(t)
	f.mux.Handle("/half", f.guard("half", func(out *output, _ *http.Request) {
		out.buf = append(out.buf, strings.Repeat("x", piece)...)
		out.more()
		panic("late")
	}))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.server(t).URL+"/half", nil)
	require.NoError(t, err)
	response, err := f.server(t).Client().Do(request)
	if err == nil { // the header was faster than the end
		_, err = io.ReadAll(response.Body)
		require.NoError(t, response.Body.Close())
	}
	require.Error(t, err)
}

func TestErrorsOfTheStorage(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Queryable = faulty{errors.New("out of order")} })
	w := f.do(get(t.Context(), "/api/v1/query?query=a"))
	require.Equal(t, http.StatusUnprocessableEntity, w.Code)
	require.Equal(t, errorBody{"error", "execution", "expanding series: out of order"}, decodeError(t, w.Body))
	require.Equal(t, internal, classify(promql.ErrStorage{Err: errors.New("out of order")}).kind)
}
