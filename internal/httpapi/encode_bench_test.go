package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

func benchVector(n int) promql.Vector {
	v := make(promql.Vector, n)
	for i := range v {
		v[i] = promql.Sample{T: epoch + 5, F: float64(i) / 3, Metric: labels.FromStrings(labels.MetricName, "vllm:num_requests_running",
			"namespace", "default", "deployment", "huggingface-fbopt-predictor", "pod", fmt.Sprintf("huggingface-fbopt-predictor-%05d", i),
			"job", "otel-collector", "instance", "localhost:8080", "model_name", "fbopt")}
	}
	return v
}

// nowhere is a peer that takes everything.
type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header         { return n.h }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}

// BenchmarkVector writes a thousand samples as KServe's pods have them, beside
// encoding/json over the types that Prometheus gives it.
func BenchmarkVector(b *testing.B) {
	v := benchVector(1000)
	b.Run("appended", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			o := &output{w: nowhere{http.Header{}}}
			o.value(v)
			o.finish()
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		type sample struct {
			Metric labels.Labels `json:"metric"`
			Value  [2]any        `json:"value"`
		}
		b.ReportAllocs()
		for b.Loop() {
			out := make([]sample, len(v))
			for i, s := range v {
				out[i] = sample{s.Metric, [2]any{float64(s.T) / 1000, fmt.Sprint(s.F)}}
			}
			if err := json.NewEncoder(nowhere{}).Encode(out); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkKEDA is one poll of KEDA's prometheus trigger, without the network.
func BenchmarkKEDA(b *testing.B) {
	f := newFixture(b)
	f.fill(b, 50)
	r := get(b.Context(), "/keda/api/v1/query?query=many&time=2023-11-14T22:13:20Z")
	b.ReportAllocs()
	for b.Loop() {
		f.mux.ServeHTTP(httptest.NewRecorder(), r.Clone(b.Context()))
	}
}
