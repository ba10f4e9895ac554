package modelserver

import (
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
)

// TestTextFormat reads the older format, which the Collector never asks for.
func TestTextFormat(t *testing.T) {
	s := Start(t, process.FreeAddress(t), "fbopt")
	s.Update(func(l *Load, totals *Totals) {
		*l = Load{Running: 2, Waiting: 1, KVCacheUsage: 0.5}
		totals.GenerationTokens, totals.Requests = 1500, 3
	})
	families := scrape(t, s)
	require.InDelta(t, 2, families["vllm:num_requests_running"].Metric[0].GetGauge().GetValue(), 0)
	require.InDelta(t, 1, families["vllm:num_requests_waiting"].Metric[0].GetGauge().GetValue(), 0)
	require.InDelta(t, 1500, families["vllm:generation_tokens_total"].Metric[0].GetCounter().GetValue(), 0)
	require.Len(t, families["vllm:request_success_total"].Metric, 3)
	require.Len(t, families["vllm:iteration_tokens_total"].Metric[0].GetHistogram().Bucket, len(stepBounds)+1)
	require.Contains(t, families, "vllm:generation_tokens_created")

	s.Stop(t)
	_, err := net.Dial("tcp", s.Address())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	s.Restart(t)
	require.Zero(t, scrape(t, s)["vllm:generation_tokens_total"].Metric[0].GetCounter().GetValue())
}

func TestOpenMetricsEnds(t *testing.T) {
	s := Start(t, process.FreeAddress(t), "fbopt")
	request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1")
	recorder := httptest.NewRecorder()
	s.metrics(recorder, request)
	body := recorder.Body.String()
	require.Contains(t, body, "# TYPE vllm:generation_tokens counter\nvllm:generation_tokens_total{")
	require.Regexp(t, "# EOF\n$", body)
}

func scrape(t *testing.T, s *Server) map[string]*dto.MetricFamily {
	t.Helper()
	response, err := http.Get("http://" + s.Address() + "/metrics")
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(response.Body)
	require.NoError(t, err)
	return families
}
