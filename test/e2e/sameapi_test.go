package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/binary"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
)

// TestSameAsPrometheus sends one OTLP request to the product and to a real
// Prometheus and asks both the same: code and JSON must be the same.
func TestSameAsPrometheus(t *testing.T) {
	t.Parallel()
	s, prometheus := startScaler(t), startPrometheus(t)
	began := time.Now().Truncate(time.Second).Add(-time.Minute)
	request := minute(began)

	_, err := collector.NewMetricsServiceClient(dial(t, s.otlp)).Export(t.Context(), request)
	require.NoError(t, err)
	body, err := proto.Marshal(request)
	require.NoError(t, err)
	response, err := http.Post("http://"+prometheus+"/api/v1/otlp/v1/metrics", "application/x-protobuf", bytes.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)

	at := func(offset time.Duration) string {
		return fmt.Sprintf("%.3f", float64(began.Add(offset).UnixMilli())/1000)
	}
	var questions []string
	ask := func(path string, parameters ...string) {
		form := url.Values{}
		for i := 0; i < len(parameters); i += 2 {
			form.Add(parameters[i], parameters[i+1])
		}
		questions = append(questions, path+"?"+form.Encode())
	}
	for _, query := range []string{
		"requests", `requests{pod="a"}`, "sum(requests)", "-requests", "nothing", "1.5", `"text"`, "time()", "vector(1)/0", "0/0", "vector(1e-9)", "1e300*vector(1e10)",
		"rate(errors_total[1m])", "increase(errors_total[30s]) > 0", "requests[12s]", "sum by (pod) (requests) + on (pod) errors_total", "topk(1, requests)",
		"latency_bucket", "histogram_quantile(0.9, sum by (le) (rate(latency_bucket[1m])))", "size", "histogram_quantile(0.5, size)", "histogram_count(rate(size[1m]))", "sum(size)",
		"rate(requests[1m])", "quantile(2, requests)", "histogram_quantile(0.9, requests)", "avg_over_time(requests[30s:5s])", "requests offset 10s", "requests @ end()",
		`label_replace(requests, "x", "a\"<é>\\", "", "")`, `{__name__=~".+"}`, "absent(nothing)", "sort_desc(requests)", "requests and errors_total",
		// what is refused
		"", "sum(", "requests{", "requests + on (none) requests", "label_replace(requests, \"pod\", \"\", \"\", \"\")", `{a=""}`, "foo(1)", "sum(1)", "rate(requests)", "requests[1m",
	} {
		ask("query", "query", query, "time", at(47*time.Second+500*time.Millisecond))
		ask("query", "query", query, "time", at(55*time.Second+123*time.Millisecond), "limit", "1", "timeout", "1s")
		ask("query_range", "query", query, "start", at(0), "end", at(time.Minute), "step", "7.5")
		ask("query_range", "query", query, "start", at(10*time.Second), "end", at(50*time.Second), "step", "20s", "limit", "1")
		ask("format_query", "query", query)
		ask("parse_query", "query", query)
	}
	// Its elements have no order, so which of them a limit leaves is chance.
	ask("query", "query", `count_values("v", requests)`, "time", at(55*time.Second+123*time.Millisecond))
	ask("query_range", "query", `count_values("v", requests)`, "start", at(0), "end", at(time.Minute), "step", "7.5")
	ask("parse_query", "query", `topk by (a) (2, rate(x{b!~"c"}[1m] @ end())) / on (a) group_left (b) (-(1)) == bool time() or y[5m:1m] offset 1m`)
	ask("parse_query", "query", `sum without (a) (max_over_time(y[5m:1m] @ 7.5 offset -1m)) unless ignoring (c) "x"`)
	ask("parse_query", "query", `max_over_time((y - ignoring (c) group_right (d) z)[5m:])`)
	for _, parameters := range [][]string{
		{"time", "soon"}, {"time", "1700000000.5.5"}, {"time", "NaN.5"}, {"limit", "x"}, {"limit", "-1"}, {"timeout", "x"}, {"timeout", "0"}, {"stats", "x"}, {"lookback_delta", "x"}, {"lookback_delta", "1s"},
	} {
		if parameters[0] != "time" {
			parameters = append(parameters, "time", at(time.Minute))
		}
		ask("query", append([]string{"query", "requests"}, parameters...)...)
	}
	for _, parameters := range [][]string{
		{}, {"start", "1"}, {"start", "1", "end", "x"}, {"start", "2", "end", "1"}, {"start", "1", "end", "2"}, {"start", "1", "end", "2", "step", "0"}, {"start", "1", "end", "2", "step", "x"},
		{"start", "0", "end", "946684800", "step", "1ms"}, {"start", "0", "end", "11001", "step", "1"}, {"start", "0", "end", "11000", "step", "1"}, {"start", "1", "end", "2", "step", "1e300"},
	} {
		ask("query_range", append([]string{"query", "1"}, parameters...)...)
	}
	for _, path := range []string{"series", "labels", "label/pod/values", "label/__name__/values", "label/none/values", "label/U__po_64_/values"} {
		for _, parameters := range [][]string{
			{}, {"match[]", "requests"}, {"match[]", "requests", "match[]", `{pod="a"}`}, {"match[]", "requests", "limit", "1"}, {"match[]", "nothing"}, {"match[]", "{"}, {"match[]", `{a=~".*"}`},
			{"match[]", "requests", "start", "x"}, {"match[]", "requests", "end", "x"}, {"match[]", "requests", "limit", "x"}, {"match[]", "requests", "start", at(0), "end", at(time.Minute)},
		} {
			ask(path, parameters...)
		}
	}
	// Prometheus answers about what it scrapes, not about OTLP: test/otlp compares types.
	ask("metadata", "metric", "nothing")
	ask("metadata", "limit", "0")
	ask("metadata", "limit", "x")
	ask("metadata", "limit_per_metric", "x")
	ask("status/tsdb", "limit", "0")

	for _, question := range questions {
		code, want := fetch(t, prometheus, question)
		ourCode, got := fetch(t, s.http, question)
		if code != ourCode || !reflect.DeepEqual(want, got) {
			t.Errorf("%s\nPrometheus: %d %v\nthe product: %d %v", question, code, want, ourCode, got)
		}
	}
	t.Logf("%d questions", len(questions))
}

// fetch returns an answer as far as it does not depend on the order of a map or
// of an index.
func fetch(t *testing.T, address, question string) (int, any) {
	t.Helper()
	response, err := http.Get("http://" + address + "/api/v1/" + question)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var decoded map[string]any
	require.NoError(t, json.Unmarshal(body, &decoded), "%s: %s", question, body)
	order(decoded["warnings"])
	order(decoded["infos"])
	order(decoded["data"])
	if data, ok := decoded["data"].(map[string]any); ok {
		order(data["result"])
		delete(data, "stats") // timings
	}
	return response.StatusCode, decoded
}

func order(v any) {
	if all, ok := v.([]any); ok {
		slices.SortStableFunc(all, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
}

// startPrometheus returns the address of a Prometheus that takes OTLP and
// scrapes nothing.
func startPrometheus(t *testing.T) string {
	t.Helper()
	logs, err := binary.Artifacts()
	require.NoError(t, err)
	dir, address := t.TempDir(), process.FreeAddress(t)
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, []byte("otlp:\n  translation_strategy: UnderscoreEscapingWithoutSuffixes\n"), 0o600))
	p := process.Start(t, process.Spec{Name: "prometheus", Path: prometheusBinary, Logs: logs, Args: []string{
		"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address,
		"--web.enable-otlp-receiver", "--query.lookback-delta=2m",
		"--enable-feature=promql-experimental-functions,promql-binop-fill-modifiers,promql-unquoted-utf8-names",
	}})
	poll.Until(t, readyWithin, func(ctx context.Context) error {
		select {
		case <-p.Exited():
			return fmt.Errorf("prometheus has exited with code %d", p.ExitCode())
		default:
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/-/ready", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: %s", response.Status)
		}
		return nil
	})
	return address
}

// minute is a minute of gauges, a counter, and histograms of both kinds, every
// five seconds.
func minute(began time.Time) *collector.ExportMetricsServiceRequest {
	start := uint64(began.UnixNano())
	pod := func(name string) []*common.KeyValue {
		return []*common.KeyValue{{Key: "pod", Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: name}}}}
	}
	requests, idle, errors, latency, size := &metrics.Gauge{}, &metrics.Gauge{},
		&metrics.Sum{AggregationTemporality: metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE, IsMonotonic: true},
		&metrics.Histogram{AggregationTemporality: metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE},
		&metrics.ExponentialHistogram{AggregationTemporality: metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE}
	number := func(pods []*common.KeyValue, at uint64, v float64) *metrics.NumberDataPoint {
		return &metrics.NumberDataPoint{Attributes: pods, StartTimeUnixNano: start, TimeUnixNano: at, Value: &metrics.NumberDataPoint_AsDouble{AsDouble: v}}
	}
	for i := uint64(1); i <= 12; i++ {
		at := start + i*5*uint64(time.Second)
		requests.DataPoints = append(requests.DataPoints, number(pod("a"), at, float64(i%5)), number(pod("b"), at, 10.25*float64(i)))
		idle.DataPoints = append(idle.DataPoints, number(nil, at, 0))
		errors.DataPoints = append(errors.DataPoints, number(pod("a"), at, float64(i*i%50))) // it restarts
		sum := float64(i) * 1.5
		latency.DataPoints = append(latency.DataPoints, &metrics.HistogramDataPoint{
			StartTimeUnixNano: start, TimeUnixNano: at, Count: 6 * i, Sum: &sum,
			ExplicitBounds: []float64{0.1, 1, 2.5}, BucketCounts: []uint64{i, 2 * i, 2 * i, i},
		})
		size.DataPoints = append(size.DataPoints, &metrics.ExponentialHistogramDataPoint{
			StartTimeUnixNano: start, TimeUnixNano: at, Count: 7 * i, Sum: &sum, Scale: 1, ZeroCount: i,
			ZeroThreshold: 1e-128, // Prometheus takes no other
			Positive:      &metrics.ExponentialHistogramDataPoint_Buckets{Offset: -1, BucketCounts: []uint64{i, 0, 2 * i}},
			Negative:      &metrics.ExponentialHistogramDataPoint_Buckets{Offset: 2, BucketCounts: []uint64{3 * i}},
		})
	}
	return &collector.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: []*metrics.Metric{
		{Name: "requests", Data: &metrics.Metric_Gauge{Gauge: requests}},
		{Name: "idle", Data: &metrics.Metric_Gauge{Gauge: idle}},
		{Name: "errors_total", Data: &metrics.Metric_Sum{Sum: errors}},
		{Name: "latency", Data: &metrics.Metric_Histogram{Histogram: latency}},
		{Name: "size", Data: &metrics.Metric_ExponentialHistogram{ExponentialHistogram: size}},
	}}}}}}
}
