package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// TestQuery asks a server that answers as Prometheus does.
func TestQuery(t *testing.T) {
	const vector = `{"resultType":"vector","result":[{"metric":{"__name__":"running","pod":"a"},"value":[1700000010,"3"]},{"metric":{},"value":[1700000010,"30.5"]},{"metric":{"__name__":"latency"},"histogram":[1700000010,{"count":"11","sum":"12.5"}]}]}`
	const matrix = `{"resultType":"matrix","result":[{"metric":{"__name__":"running","pod":"a"},"values":[[1700000000,"1"],[1700000005,"9"],[1700000010,"3"]]},{"metric":{"__name__":"latency"},"histograms":[[1700000010,{"count":"11","sum":"12.5"}]]}]}`
	for _, tc := range []struct {
		name           string
		args           []string
		code           int
		body           string
		path, form     string
		stdout, stderr string
	}{
		{name: "vector", args: []string{"running"}, code: 200, body: `{"status":"success","data":` + vector + `}`, path: "/api/v1/query", form: "query=running",
			stdout: "SERIES            VALUE\nrunning{pod=\"a\"}  3\n{}                30.5\nlatency           count 11, sum 12.5\n"},
		{name: "no series", args: []string{"running"}, code: 200, body: `{"status":"success","data":{"resultType":"vector","result":[]}}`, path: "/api/v1/query", form: "query=running", stdout: "no series\n"},
		{name: "scalar", args: []string{"1"}, code: 200, body: `{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}`, path: "/api/v1/query", form: "query=1", stdout: "7\n"},
		{name: "at a time", args: []string{"running", "--time", "1700000000.5", "-o", "json"}, code: 200, body: `{"status":"success"}`, path: "/api/v1/query", form: "query=running&time=1700000000.5", stdout: `{"status":"success"}` + "\n"},
		{name: "range", args: []string{"running", "--range=5m", "--time=2023-11-14T22:13:20.25Z"}, code: 200, body: `{"status":"success","data":` + matrix + `,"warnings":["careful"]}`, path: "/api/v1/query_range",
			form:   "end=1700000000.250&query=running&start=1699999700.250&step=5",
			stdout: "SERIES            LAST  MIN  MAX\nrunning{pod=\"a\"}  3     1    9\nlatency           count 11, sum 12.5\n", stderr: "careful\n"},
		{name: "short range", args: []string{"running", "--range=5s", "--time=1700000000"}, code: 200, body: `{"status":"success","data":{"resultType":"matrix","result":[]}}`, path: "/api/v1/query_range",
			form: "end=1700000000.000&query=running&start=1699999995.000&step=1", stdout: "no series\n"},
		{name: "refused", args: []string{"sum("}, code: 400, body: `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis"}`, path: "/api/v1/query", form: "query=sum%28",
			stderr: "keda-otel-scaler: bad_data: invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis\n"},
		{name: "no time", args: []string{"running", "--range=1m", "--time=soon"}, stderr: "keda-otel-scaler: --time=soon: want RFC 3339 or seconds since 1970, for example --time=2026-01-02T15:04:05Z\n"},
		{name: "no query", stderr: "keda-otel-scaler: want one query, in quotes, not 0 arguments; see keda-otel-scaler query --help\n"},
		{name: "step alone", args: []string{"x", "--step=1s"}, stderr: "keda-otel-scaler: --step=1s: has no effect without --range, for example --range=5m\n"},
		{name: "negative range", args: []string{"x", "--range=-1s"}, stderr: "keda-otel-scaler: --range and --step: want durations above 0, for example --range=5m --step=5s\n"},
		{name: "odd output", args: []string{"x", "-o", "xml"}, stderr: "keda-otel-scaler: --output=xml: want table or json, for example --output=json\n"},
		{name: "no URL", args: []string{"x", "--server", "localhost:9090"}, stderr: "keda-otel-scaler: --server=localhost:9090: want a URL, for example --server=http://localhost:9090\n"},
		{name: "not Prometheus", args: []string{"x"}, code: 200, body: `[]`, path: "/api/v1/query", form: "query=x", stderr: "does not answer as Prometheus does"},
		{name: "odd result", args: []string{"x"}, code: 200, body: `{"data":{"resultType":"vector","result":7}}`, path: "/api/v1/query", form: "query=x", stderr: "keda-otel-scaler: the server's vector can't be read"},
		{name: "a proxy's error", args: []string{"x"}, code: 502, body: "<html>", path: "/api/v1/query", form: "query=x", stderr: "answered 502 Bad Gateway: <html>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			asked := false
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = true
				body, _ := io.ReadAll(r.Body)
				if r.URL.Path != tc.path || string(body) != tc.form {
					t.Errorf("asked %s with %s", r.URL.Path, body)
				}
				w.WriteHeader(tc.code)
				_, _ = io.WriteString(w, tc.body)
			}))
			defer server.Close()
			t.Setenv("KEDA_OTEL_SCALER_SERVER", server.URL)
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), append([]string{"query"}, tc.args...), &stdout, &stderr)
			require.Equal(t, tc.stdout, stdout.String())
			require.Contains(t, stderr.String(), tc.stderr)
			require.Equal(t, tc.code != 0, asked)
			require.Equal(t, tc.stdout == "", code == 1, "the exit code is %d", code)
		})
	}
}

func TestQueryOfNobody(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	var stdout, stderr bytes.Buffer
	require.Equal(t, 1, run(t.Context(), []string{"query", "x", "--server", server.URL}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "connection refused; --server says where to ask")
}

func TestCurves(t *testing.T) {
	for _, tc := range []struct{ values, want string }{
		{`[[0,"0"],[60,"7"]]`, "▁" + strings.Repeat(" ", 59) + "█"},
		{`[[0,"0"],[1,"1"],[2,"2"],[3,"3"],[4,"4"],[5,"5"],[6,"6"],[7,"7"],[8,"NaN"],[9,"3.5"]]`, "▁▂▃▄▅▆▇█ ▅"},
		{`[[0,"-7"],[1,"0"],[2,"-3"]]`, "▁█▅"},
		{`[[0,"0"],[1,"0"]]`, "▁▁"},
		{`[[0,"3"],[0.2,"5"],[0.3,"1"]]`, "█"}, // the peak of a column
		{`[[30,"+Inf"]]`, ""},
	} {
		var values []model.SamplePair
		require.NoError(t, json.Unmarshal([]byte(tc.values), &values))
		require.Equal(t, tc.want, sparkline(values, 0, 60_000), tc.values)
	}
	var out bytes.Buffer
	require.NoError(t, table(&out, true, model.ValMatrix, []byte(`[{"metric":{"__name__":"x"},"values":[[5,"1"]]}]`)))
	require.Equal(t, "SERIES  LAST  MIN  MAX  CURVE\nx       1     1    1    █\n", out.String())
}
