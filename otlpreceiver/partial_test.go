package otlpreceiver

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// metric sums the counters that have these labels, whatever their others.
func (h *harness) metric(name string, pairs ...string) (sum float64) {
	h.t.Helper()
	found := false
	fams, err := h.reg.Gather()
	require.NoError(h.t, err)
	for _, f := range fams {
		if f.GetName() != name {
			continue
		}
	next:
		for _, m := range f.GetMetric() {
			have := map[string]string{}
			for _, l := range m.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			for i := 0; i < len(pairs); i += 2 {
				if have[pairs[i]] != pairs[i+1] {
					continue next
				}
			}
			sum += m.GetCounter().GetValue()
			found = true
		}
	}
	require.True(h.t, found, "no such metric: %s %v", name, pairs)
	return sum
}

func TestEmptyMetricCostsOnlyItself(t *testing.T) {
	h := serve(t, config{})
	ps := h.send(gaugeOf("before", double(0, 1)), &mpb.Metric{Name: "hollow"}, gaugeOf("no_points"), gaugeOf("after", double(0, 2)))
	require.Zero(t, ps.GetRejectedDataPoints())
	require.Equal(t, `metric "hollow": a metric holds no data of a type that OTLP knows`, ps.GetErrorMessage())
	require.Equal(t, []string{"after{} 2@0", "before{} 1@0"}, h.held(""))
	require.Equal(t, 1.0, h.metric("keda_otel_scaler_otlp_requests_total", "outcome", "ok"))
}

func TestSeriesLimitIsPartialSuccessAndKnownSeriesGoOn(t *testing.T) {
	h := serve(t, config{store: store.Options{MaxSeries: 2}})
	h.clock.advance(10 * time.Second)
	h.sendOK(gaugeOf("known", double(1, 1)))
	ps := h.send(gaugeOf("flood", double(2, 1, "n", "1"), double(2, 1, "n", "2"), double(2, 1, "n", "3")), gaugeOf("known", double(2, 2)))
	require.EqualValues(t, 2, ps.GetRejectedDataPoints())
	require.Equal(t, `metric "flood": series limit reached: held are 2 series (data points rejected: 2)`, ps.GetErrorMessage())
	require.Equal(t, []string{`flood{n="1"} 1@2`, `known{} 1@1 2@2`}, h.held(""))
}

func TestMetricLimitNamesTheMetric(t *testing.T) {
	h := serve(t, config{store: store.Options{MaxSeriesPerMetric: 1}})
	ps := h.send(gaugeOf("a", double(0, 1, "n", "1"), double(0, 1, "n", "2")), gaugeOf("b", double(0, 1)))
	require.EqualValues(t, 1, ps.GetRejectedDataPoints())
	require.Contains(t, ps.GetErrorMessage(), `metric "a": series limit of the metric reached`)
	require.Len(t, h.held(""), 2)
}

func TestHistogramThatHitsTheLimitHalfwayIsOneRejectedPoint(t *testing.T) {
	h := serve(t, config{store: store.Options{MaxSeriesPerMetric: 2}})
	ps := h.send(histogramOf("h", cumulative, buckets(0, []float64{1, 2, 3}, []uint64{1, 1, 1, 1}, 9)))
	require.EqualValues(t, 1, ps.GetRejectedDataPoints())
	// What had room is there, the count included.
	require.Equal(t, []string{`h_bucket{le="1"} 1@0`, `h_bucket{le="2"} 2@0`, `h_count{} 4@0`, `h_sum{} 9@0`}, h.held(""))
	require.Equal(t, 1.0, h.metric("keda_otel_scaler_otlp_points_total", "kind", "histogram", "outcome", "rejected"))
	require.Equal(t, 0.0, h.metric("keda_otel_scaler_otlp_points_total", "kind", "histogram", "outcome", "accepted"))
}

func TestMessageIsBoundedAndValid(t *testing.T) {
	h := serve(t, config{})
	var ms []*mpb.Metric
	for i := range 40 {
		ms = append(ms, sumOf(fmt.Sprintf("%s%d", strings.Repeat("é", 5000), i), unspecified, true, double(0, 1)))
		ms = append(ms, sumOf(fmt.Sprintf("m%d", i/2), unspecified, true, double(0, 1)))
	}
	ps := h.send(ms...)
	require.EqualValues(t, 80, ps.GetRejectedDataPoints())
	require.Less(t, len(ps.GetErrorMessage()), maxReasons*(2*maxText+100))
	require.True(t, utf8.ValidString(ps.GetErrorMessage()))
	require.Equal(t, maxReasons, strings.Count(ps.GetErrorMessage(), "temporality"))
	require.True(t, strings.HasSuffix(ps.GetErrorMessage(), "; and 55 more"), ps.GetErrorMessage()) // 40 + 20 distinct
}

func TestSameReasonIsToldOnceWithItsPoints(t *testing.T) {
	h := serve(t, config{})
	ps := h.send(gaugeOf("g", double(-200, 1), double(-300, 1), double(-400, 1)))
	require.EqualValues(t, 3, ps.GetRejectedDataPoints())
	require.Equal(t, 1, strings.Count(ps.GetErrorMessage(), "older than the retention"))
	require.Contains(t, ps.GetErrorMessage(), "(data points rejected: 3)")
}

func TestOwnMetricsCountRequestsAndPoints(t *testing.T) {
	h := serve(t, config{})
	h.sendOK(gaugeOf("g", double(0, 1), double(0, 2, "a", "b")), sumOf("s", cumulative, true, double(0, 1)))
	h.send(
		histogramOf("h", cumulative, buckets(0, nil, []uint64{1}, 1)),
		exponentialOf("e", cumulative, expPoint(0, 0, 0, []uint64{1}, 1), expPoint(0, -9, 0, nil, 1)),
		summaryOf("q", summaryPoint(0, 1, 1)), sumOf("bad", unspecified, true, double(0, 1)),
	)
	for want, names := range map[float64][]string{
		2: {"gauge/accepted"},
		1: {"sum/accepted", "sum/rejected", "histogram/accepted", "exponential_histogram/accepted", "exponential_histogram/rejected", "summary/accepted"},
		0: {"gauge/rejected", "histogram/rejected", "summary/rejected"},
	} {
		for _, n := range names {
			kind, outcome, _ := strings.Cut(n, "/")
			require.Equal(t, want, h.metric("keda_otel_scaler_otlp_points_total", "kind", kind, "outcome", outcome), n)
		}
	}
	require.Equal(t, 1.0, h.metric("keda_otel_scaler_otlp_requests_total", "outcome", "ok"))
	require.Equal(t, 1.0, h.metric("keda_otel_scaler_otlp_requests_total", "outcome", "partial"))
	require.Equal(t, 0.0, h.metric("keda_otel_scaler_otlp_requests_total", "outcome", "malformed"))
}

func TestRejectedPointsAreCountedByReason(t *testing.T) {
	h := serve(t, config{store: store.Options{MaxSeries: 3, MaxSeriesPerMetric: 2}})
	h.send(
		gaugeOf("g", double(0, 1, "a", "1"), double(0, 1, "a", "2"), double(0, 1, "a", "3")),
		gaugeOf("old", double(-200, 1), double(-300, 1)), sumOf("s", unspecified, true, double(0, 1)),
		sumOf("d", delta, true, double(0, math.NaN())), histogramOf("h", cumulative, buckets(0, []float64{1}, []uint64{1}, 1)),
		gaugeOf("last", double(0, 1)), gaugeOf("more", double(0, 1)),
	)
	for reason, want := range map[string]float64{
		"metric_limit": 1, "too_old": 2, "no_temporality": 1, "delta_not_finite": 1, "invalid": 1, "series_limit": 1, "no_time": 0,
	} {
		require.Equal(t, want, h.metric("keda_otel_scaler_otlp_points_rejected_total", "reason", reason), reason)
	}
	require.Equal(t, h.metric("keda_otel_scaler_otlp_points_total", "outcome", "rejected"), h.metric("keda_otel_scaler_otlp_points_rejected_total"))
}

// TestRequestsAreCountedByTransport: bytes, too, as they are once uncompressed.
func TestRequestsAreCountedByTransport(t *testing.T) {
	h := serveHTTP(t, config{})
	body := marshal(t, resource(nil, gaugeOf("g", double(0, 1))))
	require.Equal(t, http.StatusOK, h.post(bytes.NewReader(gzipped(t, body)), "Content-Type", "application/x-protobuf", "Content-Encoding", "gzip").code)
	require.Equal(t, http.StatusOK, h.post(bytes.NewReader(body), "Content-Type", "application/x-protobuf").code)
	h.sendOK(gaugeOf("g", double(0, 2)))
	for via, want := range map[string]float64{"grpc": 1, "http": 2} {
		require.Equal(t, want, h.metric("keda_otel_scaler_otlp_requests_total", "transport", via, "outcome", "ok"))
		require.Equal(t, want, h.metric("keda_otel_scaler_otlp_points_total", "transport", via, "kind", "gauge", "outcome", "accepted"))
	}
	require.Equal(t, float64(2*len(body)), h.metric("keda_otel_scaler_otlp_request_bytes_total", "transport", "http"))
}

// TestAgeOfARequestsFirstSample: negative where the sender's clock is ahead.
func TestAgeOfARequestsFirstSample(t *testing.T) {
	h := serve(t, config{})
	h.sendOK(gaugeOf("g", double(-7, 1, "a", "b"), double(-100, 1)))
	h.sendOK(sumOf("s", cumulative, true, double(30, 1)))
	families, err := h.reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if got := f.GetMetric()[0].GetHistogram(); got != nil {
			require.EqualValues(t, 2, got.GetSampleCount())
			require.InDelta(t, 7-30, got.GetSampleSum(), 1e-6)
			require.Len(t, got.GetPositiveSpan(), 1, "native buckets, of both signs")
			require.Len(t, got.GetNegativeSpan(), 1)
			return
		}
	}
	require.Fail(t, "there is no histogram")
}

func TestRejectionsAreLoggedAtMostOnceInTenSeconds(t *testing.T) {
	var out bytes.Buffer // written by handlers that have answered before it is read
	h := serve(t, config{logger: slog.New(slog.NewTextHandler(&out, nil))})
	lines := func() int { return strings.Count(out.String(), "\n") }
	bad := func() { h.send(gaugeOf("wrong", &mpb.NumberDataPoint{TimeUnixNano: at(0)})) }
	h.sendOK(gaugeOf("g", double(0, 1)))
	require.Zero(t, lines(), "good points are not logged")
	bad()
	bad()
	require.Equal(t, 1, lines())
	require.Contains(t, out.String(), "level=WARN")
	require.Contains(t, out.String(), `wrong`)
	require.Contains(t, out.String(), "peer=127.0.0.1:")
	h.clock.advance(warnInterval - 1)
	bad()
	require.Equal(t, 1, lines())
	h.clock.advance(1)
	bad()
	require.Equal(t, 2, lines())
	// Malformed requests are for whoever looks for them.
	_, err := h.raw(h.conn, []byte("x"))
	require.Error(t, err)
	require.Equal(t, 2, lines())
}

func TestMalformedRequestIsLoggedAtDebug(t *testing.T) {
	var out bytes.Buffer
	h := serve(t, config{logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	_, err := h.raw(h.conn, []byte("x"))
	require.Error(t, err)
	require.Contains(t, out.String(), "level=DEBUG")
	require.Contains(t, out.String(), "bytes=1")
}

func TestStandingQueriesAreToldOfARequest(t *testing.T) {
	h := serve(t, config{})
	h.sendOK(gaugeOf("g", double(-1, 1)))
	told := false
	w, err := h.store.Select([]*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "g")}, 0, func() { told = true })
	require.NoError(t, err)
	defer w.Close()
	h.sendOK(gaugeOf("g", double(0, 2)))
	require.True(t, told, "the request was answered and the watch not told")
}

// Requests may come at the same time; -race watches.
func TestConcurrentRequestsCountExactly(t *testing.T) {
	h := serve(t, config{})
	const senders, requests = 8, 20
	done := make(chan error, senders)
	for s := range senders {
		go func() {
			for range requests {
				_, err := h.raw(h.conn, encoded(h.t, gaugeOf("g", double(0, 1, "s", fmt.Sprint(s))), gaugeOf("", double(0, 1))))
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range senders {
		require.NoError(t, <-done)
	}
	require.Len(t, h.held(""), senders)
	require.Equal(t, float64(senders*requests), h.metric("keda_otel_scaler_otlp_points_total", "kind", "gauge", "outcome", "rejected"))
	require.Equal(t, float64(senders*requests), h.metric("keda_otel_scaler_otlp_requests_total", "outcome", "partial"))
}
