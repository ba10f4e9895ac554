package httpapi

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// pods is what the tests ask about.
const pods = `
	running{pod="a"} 1 2 3
	running{pod="b"} 10 20 30
	errors_total{pod="a"} 0 10 20
	idle 0 0 0
`

// TestAnswers holds the JSON to what Prometheus 3 writes: encoded by hand from
// its source, and compared with a running one in test/e2e.
func TestAnswers(t *testing.T) {
	f := newFixture(t)
	f.load(t, pods)
	f.loadHistogram(t, "latency")
	const a, b = `{"__name__":"running","pod":"a"}`, `{"__name__":"running","pod":"b"}`
	for _, tc := range []struct{ name, path, parameters, data string }{
		{"vector", "query", "query=running&time=1700000010.000", `{"resultType":"vector","result":[{"metric":` + a + `,"value":[1700000010,"3"]},{"metric":` + b + `,"value":[1700000010,"30"]}]}`},
		{"empty vector", "query", "query=nothing", `{"resultType":"vector","result":[]}`},
		{"milliseconds", "query", "query=sum(running)&time=1700000005.005", `{"resultType":"vector","result":[{"metric":{},"value":[1700000005.005,"22"]}]}`},
		{"scalar", "query", "query=1e-7&time=1700000010.5", `{"resultType":"scalar","result":[1700000010.5,"0.0000001"]}`},
		{"string", "query", `query="x"&time=1700000010.5`, `{"resultType":"string","result":[1700000010.5,"x"]}`},
		{"floats", "query", "query=vector(1e-7)&time=1700000010.5", `{"resultType":"vector","result":[{"metric":{},"value":[1700000010.5,"1e-07"]}]}`},
		{"large float", "query", "query=vector(1e21)&time=1700000010.5", `{"resultType":"vector","result":[{"metric":{},"value":[1700000010.5,"1e+21"]}]}`},
		{"infinity", "query", "query=vector(1)/0&time=1700000010.5", `{"resultType":"vector","result":[{"metric":{},"value":[1700000010.5,"+Inf"]}]}`},
		{"no number", "query", "query=vector(0)/0&time=1700000010.5", `{"resultType":"vector","result":[{"metric":{},"value":[1700000010.5,"NaN"]}]}`},
		{"odd labels", "query", `query=label_replace(idle,"x","q\"<é\n","","")&time=1700000010.5`, `{"resultType":"vector","result":[{"metric":{"__name__":"idle","x":"q\"<é\n"},"value":[1700000010.5,"0"]}]}`},
		{"matrix", "query", "query=idle[6s]&time=1700000010.0", `{"resultType":"matrix","result":[{"metric":{"__name__":"idle"},"values":[[1700000005,"0"],[1700000010,"0"]]}]}`},
		{"before the epoch", "query", "query=vector(1)&time=-1.25", `{"resultType":"vector","result":[{"metric":{},"value":[-1.25,"1"]}]}`},
		{"histogram", "query", "query=latency&time=1700000010.0", `{"resultType":"vector","result":[{"metric":{"__name__":"latency"},"histogram":[1700000010,{"count":"11","sum":"12.5","buckets":[[1,"-2","-1","2"],[3,"-0.25","0.25","2"],[0,"0.5","1","3"],[0,"1","2","4"]]}]}]}`},
		{"vector up to a limit", "query", "query=running&time=1700000010.0&limit=1", `{"resultType":"vector","result":[{"metric":` + a + `,"value":[1700000010,"3"]}]}`},
		{"shorter lookback", "query", "query=running&time=1700000013.0&lookback_delta=2s", `{"resultType":"vector","result":[]}`},
		{"range", "query_range", "query=running&start=1700000000&end=1700000010&step=5", `{"resultType":"matrix","result":[{"metric":` + a + `,"values":[[1700000000,"1"],[1700000005,"2"],[1700000010,"3"]]},{"metric":` + b + `,"values":[[1700000000,"10"],[1700000005,"20"],[1700000010,"30"]]}]}`},
		{"range of histograms up to a limit", "query_range", "query=latency or running&start=1700000010&end=1700000010&step=1m&limit=1", `{"resultType":"matrix","result":[{"metric":{"__name__":"latency"},"histograms":[[1700000010,{"count":"11","sum":"12.5","buckets":[[1,"-2","-1","2"],[3,"-0.25","0.25","2"],[0,"0.5","1","3"],[0,"1","2","4"]]}]]}]}`},
		{"empty range", "query_range", "query=nothing&start=2023-11-14T22:13:20Z&end=2023-11-14T22:13:30.5Z&step=5s", `{"resultType":"matrix","result":[]}`},
		{"the function of our own", "query", "query=held_rate(errors_total[2m])&time=1700000010.0", `{"resultType":"vector","result":[{"metric":{"pod":"a"},"value":[1700000010,"2"]}]}`},
		{"series", "series", "match[]=running", `[` + a + `,` + b + `]`},
		{"series of two selectors", "series", `match[]=running&match[]={pod="a"}`, `[{"__name__":"errors_total","pod":"a"},` + a + `,` + b + `]`},
		{"no series", "series", "match[]=nothing", `[]`},
		{"series up to a limit", "series", "match[]=running&limit=1", `[` + a + `]`},
		{"labels", "labels", "", `["__name__","pod"]`},
		{"labels of a selector", "labels", "match[]=idle", `["__name__"]`},
		{"labels of two selectors", "labels", "match[]=idle&match[]=running", `["__name__","pod"]`},
		{"labels up to a limit", "labels", "limit=1", `["__name__"]`},
		{"values", "label/__name__/values", "", `["errors_total","idle","latency","running"]`},
		{"values of selectors", "label/pod/values", "match[]=errors_total&match[]=nothing", `["a"]`},
		{"values in a window", "label/pod/values", "start=1700000000&end=1700000001", `["a","b"]`},
		{"values of an escaped label", "label/U__po_64_/values", "", `["a","b"]`},
		{"values of an unknown label", "label/node/values", "", `[]`},
		{"metadata", "metadata", "limit=1", `{}`},
		{"buildinfo", "status/buildinfo", "", `{"version":"3.16.0","revision":"","branch":"","buildUser":"","buildDate":"","goVersion":"","application":""}`},
		{"tsdb", "status/tsdb", "limit=2", `{"headStats":{"numSeries":5,"numLabelPairs":6,"chunkCount":0,"minTime":1699999890000,"maxTime":1700000010000},
			"seriesCountByMetricName":[{"name":"running","value":2},{"name":"errors_total","value":1}],
			"labelValueCountByLabelName":[{"name":"__name__","value":4},{"name":"pod","value":2}],
			"memoryInBytesByLabelName":[{"name":"__name__","value":30},{"name":"pod","value":2}],
			"seriesCountByLabelValuePair":[{"name":"__name__=running","value":2},{"name":"pod=a","value":2}]}`},
		{"format", "format_query", "query=sum by(pod)(rate(errors_total[1m]))", `"sum by (pod) (rate(errors_total[1m]))"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			parameters, err := url.ParseQuery(tc.parameters)
			require.NoError(t, err)
			want := `{"status":"success","data":` + tc.data
			if strings.Contains(tc.name, "limit") {
				want += `,"warnings":["results truncated due to limit"]`
			}
			w := f.do(get(t.Context(), "/api/v1/"+tc.path+"?"+parameters.Encode()))
			require.Equal(t, http.StatusOK, w.Code, w.Body)
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			require.JSONEq(t, want+"}", w.Body.String())

			posted := f.do(post(t.Context(), "/api/v1/"+tc.path, parameters))
			if posted.Code != http.StatusMethodNotAllowed {
				require.Equal(t, w.Body.String(), posted.Body.String())
			}
			if tc.path != "query" { // under /keda only instant queries differ
				same := f.do(get(t.Context(), "/keda/api/v1/"+tc.path+"?"+parameters.Encode()))
				require.Equal(t, w.Body.String(), same.Body.String())
			}
		})
	}
}

func TestPostIsForThoseWhoHaveItInPrometheus(t *testing.T) {
	f := newFixture(t)
	for path, allowed := range map[string]string{
		"query": "GET, POST", "query_range": "GET, POST", "format_query": "GET, POST", "parse_query": "GET, POST",
		"series": "GET, POST", "labels": "GET, POST", "label/pod/values": "GET", "metadata": "GET", "status/tsdb": "GET", "status/buildinfo": "GET",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/api/v1/"+path, nil)
		w := f.do(r)
		require.Equal(t, http.StatusMethodNotAllowed, w.Code, path)
		require.Equal(t, allowed, w.Header().Get("Allow"), path)
		require.JSONEq(t, `{"status":"error","errorType":"bad_data","error":"method PUT is not allowed; use `+allowed+`"}`, w.Body.String())
	}
}

func TestWarningsInfosAndStats(t *testing.T) {
	f := newFixture(t)
	f.load(t, pods)
	f.loadHistogram(t, "latency")
	w := f.do(get(t.Context(), "/api/v1/query?stats=all&query="+url.QueryEscape(`quantile(2, running) + rate(running[1m])`)))
	require.Equal(t, http.StatusOK, w.Code)
	body := w.Body.String()
	require.Contains(t, body, `"warnings":["PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"]`)
	require.Contains(t, body, `"infos":["PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"running\" (1:29)"]`)
	require.Contains(t, body, `"stats":{"timings":{"evalTotalTime":`)
	require.Contains(t, body, `"totalQueryableSamples":`)

	w = f.do(get(t.Context(), "/api/v1/query?stats=1&query=1"))
	require.Contains(t, w.Body.String(), `"warnings":["value \"1\" for parameter \"stats\" is deprecated`)
	require.NotContains(t, f.do(get(t.Context(), "/api/v1/query?query=1")).Body.String(), "stats")
}

// TestSums: under /keda, or with the option, KEDA gets one element where a
// selector yields one a pod, and everything else as it is.
func TestSums(t *testing.T) {
	everywhere := newFixture(t, func(o *Options) { o.SumSelectors = true })
	only := newFixture(t)
	for _, f := range []*fixture{everywhere, only} {
		f.load(t, pods)
		f.loadHistogram(t, "latency")
	}
	const time = "&time=1700000010.0"
	for q, value := range map[string]string{
		`running`:                       `{"metric":{},"value":[1700000010,"33"]}`,
		` ( (running{pod=~".*"}) ) # !`: `{"metric":{},"value":[1700000010,"33"]}`,
		`{__name__="running",pod="a"}`:  `{"metric":{},"value":[1700000010,"3"]}`,
		`running offset 5s`:             `{"metric":{},"value":[1700000010,"22"]}`,
		`running @ 1700000000`:          `{"metric":{},"value":[1700000010,"11"]}`,
		`{"running"}`:                   `{"metric":{},"value":[1700000010,"33"]}`,
		`idle`:                          `{"metric":{},"value":[1700000010,"0"]}`,
		`nothing`:                       ``,
		`sum(nothing)`:                  ``,
		`running > 3`:                   `{"metric":{"__name__":"running","pod":"b"},"value":[1700000010,"30"]}`,
		`avg(running)`:                  `{"metric":{},"value":[1700000010,"16.5"]}`,
		`-running{pod="a"}`:             `{"metric":{"pod":"a"},"value":[1700000010,"-3"]}`,
		`rate(errors_total[10s])`:       `{"metric":{"pod":"a"},"value":[1700000010,"2"]}`,
		`held_rate(errors_total[2m])`:   `{"metric":{"pod":"a"},"value":[1700000010,"2"]}`,
		`histogram_count(latency)`:      `{"metric":{},"value":[1700000010,"11"]}`,
		`sum by (pod) (running) == 3`:   `{"metric":{"pod":"a"},"value":[1700000010,"3"]}`,
		`topk(1, running)`:              `{"metric":{"__name__":"running","pod":"b"},"value":[1700000010,"30"]}`,
		`vector(1)`:                     `{"metric":{},"value":[1700000010,"1"]}`,
	} {
		want := `{"status":"success","data":{"resultType":"vector","result":[` + value + `]}}`
		path := "/api/v1/query?query=" + url.QueryEscape(q) + time
		require.JSONEq(t, want, only.do(get(t.Context(), "/keda"+path)).Body.String(), q)
		require.JSONEq(t, want, everywhere.do(get(t.Context(), "/keda"+path)).Body.String(), q)
		require.JSONEq(t, want, everywhere.do(get(t.Context(), path)).Body.String(), q)
	}
	for _, path := range []string{"query_range?query=running&start=1700000000&end=1700000010&step=5", "query?query=running[1m]" + time, "query?query=1", "query?query=running{"} {
		require.Equal(t, only.do(get(t.Context(), "/api/v1/"+path)).Body.String(), only.do(get(t.Context(), "/keda/api/v1/"+path)).Body.String(), path)
		require.Equal(t, only.do(get(t.Context(), "/api/v1/"+path)).Body.String(), everywhere.do(get(t.Context(), "/api/v1/"+path)).Body.String(), path)
	}
	exact := only.do(get(t.Context(), "/api/v1/query?query=running"+time))
	require.Contains(t, exact.Body.String(), `"pod":"b"`, "without the prefix it is Prometheus'")
}

// TestStalenessIsTheStores: a pod that died is out of the sum when it is out for
// KEDA, although Prometheus' lookback still reaches it.
func TestStalenessIsTheStores(t *testing.T) {
	f := newFixture(t)
	f.load(t, `
		running{pod="dies"}  5 5 5
		running{pod="lives"} 1 1 1 1 1 1 1 1
	`)
	for _, path := range []string{"/api/v1/query?query=sum(running)", "/keda/api/v1/query?query=running"} {
		require.Contains(t, f.do(get(t.Context(), path)).Body.String(), `"1"]}]`)
	}
	v, err := f.addOn(t.Context(), "sum(running)", "")
	require.NoError(t, err)
	require.InDelta(t, 1, v, 0)
	history := f.do(get(t.Context(), "/api/v1/query_range?query=count(running)&start=1700000000&end=1700000035&step=5")).Body.String()
	require.Contains(t, history, `[1700000015,"2"],[1700000020,"1"]`)
}

// TestPlansAreQueries: what a trigger's query was understood as can be asked.
func TestPlansAreQueries(t *testing.T) {
	f := newFixture(t)
	f.load(t, pods)
	for _, text := range []string{"running", "sum(running{pod=a})", "max(errors_total)", `sum(rate(errors_total[1m]){pod="a"})`, `histogram.x{le="1.0"}`} {
		for _, over := range []query.OverTime{query.LastOne, query.Rate, query.Avg} {
			plan, err := f.queries.Compile(query.Scope{}, text, over)
			if err != nil {
				continue // an operation that does not go with this query
			}
			w := f.do(get(t.Context(), "/api/v1/query?query="+url.QueryEscape(plan.String())))
			require.Equal(t, http.StatusOK, w.Code, plan)
			if v, ok, err := plan.Eval(t.Context(), f.now()); err == nil && ok {
				require.Contains(t, w.Body.String(), `,"`+strconv.FormatFloat(v, 'f', -1, 64)+`"]`, plan)
			}
		}
	}
}
