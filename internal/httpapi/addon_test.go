package httpapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// TestAddOn holds the answers to what otel-add-on v0.1.4 gives its users'
// scripts.
func TestAddOn(t *testing.T) {
	f := newFixture(t)
	f.load(t, `
		running{pod="a"} 4 1 7
		errors_total{pod="a",node="n"} 5 10 2
		ended 1 stale
		odd 1 NaN Inf
	`)
	f.loadHistogram(t, "latency")
	for path, want := range map[string]string{
		"/memstore/names": `["ended","errors_total","latency","odd","running"]`,
		"/info":           `{"version":"1"}`,
		"/memstore/data": `{
			"running": [{"labels":{"pod":"a"},"lastUpdate":1700000010,"data":[{"value":4,"time":1700000000},{"value":1,"time":1700000005},{"value":7,"time":1700000010}],
				"aggregatesOverTime":{"last_one":7,"count":3,"avg":4,"min":1,"max":7,"rate":0.7}}],
			"errors_total": [{"labels":{"pod":"a","node":"n"},"lastUpdate":1700000010,"data":[{"value":5,"time":1700000000},{"value":10,"time":1700000005},{"value":2,"time":1700000010}],
				"aggregatesOverTime":{"last_one":2,"count":3,"avg":5.666666666666667,"min":2,"max":10,"rate":0.7}}],
			"ended": [{"labels":{},"lastUpdate":1700000000,"data":[{"value":1,"time":1700000000}],"aggregatesOverTime":{"last_one":1,"count":1,"avg":1,"min":1,"max":1}}],
			"odd": [{"labels":{},"lastUpdate":1700000010,"data":[{"value":1,"time":1700000000},{"value":null,"time":1700000005},{"value":null,"time":1700000010}],
				"aggregatesOverTime":{"last_one":null,"count":3,"avg":null,"min":null,"max":null,"rate":null}}],
			"latency": [{"labels":{},"lastUpdate":0,"data":[],"aggregatesOverTime":{}}]
		}`,
	} {
		w := f.do(get(t.Context(), path))
		require.Equal(t, http.StatusOK, w.Code, path)
		require.JSONEq(t, want, w.Body.String(), path)
	}
	empty := newFixture(t)
	require.JSONEq(t, `{}`, empty.do(get(t.Context(), "/memstore/data")).Body.String())
	require.JSONEq(t, `[]`, empty.do(get(t.Context(), "/memstore/names")).Body.String())
}

func TestAddOnQueries(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MaxBody = 200 })
	f.load(t, pods)
	for _, tc := range []struct {
		body  string
		code  int
		value float64
		err   string
	}{
		{`{"query":"running{pod=a}","operationOverTime":"last_one"}`, 200, 3, ""},
		{`{"query":"sum(running)"}`, 200, 33, ""},
		{`{"query":"avg(running{pod=a})","operationOverTime":"avg","more":1}`, 200, 2, ""},
		{`{"query":"errors_total","operationOverTime":"rate"}`, 200, 2, ""},
		{`{"query":"rate(errors_total[10s])"}`, 200, 2, ""},
		{`{"query":"nothing"}`, 500, 0, "has no value"},
		{`{"query":"sum("}`, 500, 0, "neither PromQL nor"},
		{`{"query":"running","operationOverTime":"median"}`, 500, 0, `"median" is none of last_one`},
		{``, 400, 0, "unexpected end of JSON input"},
		{`{"query":7}`, 400, 0, "cannot unmarshal number"},
		{`[]`, 400, 0, "cannot unmarshal array"},
		{"\xff\xfe", 400, 0, "invalid character"},
		{strings.Repeat("[", 199), 400, 0, "unexpected end of JSON input"},
		{`{"query":"` + strings.Repeat("x", 200) + `"}`, 400, 0, "request body too large"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/memstore/query", strings.NewReader(tc.body))
		r.Header.Set("Content-Type", "application/json")
		w := f.do(r)
		require.Equal(t, tc.code, w.Code, "%s: %s", tc.body, w.Body)
		var got operation
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got), w.Body)
		require.Equal(t, tc.code == 200, got.OK)
		require.Equal(t, "query", got.Operation)
		require.InDelta(t, tc.value, got.Value, 1e-12)
		require.Contains(t, got.Error, tc.err)
		require.Equal(t, tc.err == "", got.Error == "")
	}
}

func TestNobodyEmptiesTheStoreUnlessToldSo(t *testing.T) {
	f := newFixture(t)
	f.load(t, pods)
	w := f.do(post(t.Context(), "/memstore/reset", nil))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.JSONEq(t, `{"ok":false,"operation":"reset","value":0,"error":"the store is not emptied from outside without --http-allow-reset; a series that gets no more samples is forgotten within 2m0s by itself"}`, w.Body.String())
	require.Equal(t, 4, f.store.SeriesCount())

	f = newFixture(t, func(o *Options) { o.Reset = func() { o.Queryable.(*store.Store).Reset() } })
	f.load(t, pods)
	require.Equal(t, http.StatusMethodNotAllowed, f.do(get(t.Context(), "/memstore/reset")).Code)
	require.Equal(t, 4, f.store.SeriesCount(), "a link that is looked at empties nothing")
	w = f.do(post(t.Context(), "/memstore/reset", nil))
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `{"ok":true,"operation":"reset","value":0,"error":""}`, w.Body.String())
	require.Zero(t, f.store.SeriesCount())
}
