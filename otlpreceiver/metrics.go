package otlpreceiver

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// transport is how a request came.
type transport uint8

const (
	viaGRPC transport = iota
	viaHTTP
	transports
)

var transportNames = [transports]string{"grpc", "http"}

// String returns the transport as /metrics names it.
func (t transport) String() string { return transportNames[t] }

// reason is why a point is rejected, as /metrics names it.
type reason uint8

// reasons are the errors that have a name of their own; all others are invalid.
var reasons = [...]struct {
	err  error
	name string
}{
	{store.ErrTooOld, "too_old"},
	{store.ErrSeriesLimit, "series_limit"},
	{store.ErrMetricLimit, "metric_limit"},
	{store.ErrNoMemory, "memory"},
	{errNoData, "no_data"},
	{errNoTemporality, "no_temporality"},
	{errNoValue, "no_value"},
	{errNoTime, "no_time"},
	{errDeltaNaN, "delta_not_finite"},
	{nil, "invalid"},
}

const invalid = reason(len(reasons) - 1)

func reasonFor(err error) reason {
	for i := range reasons {
		if errors.Is(err, reasons[i].err) {
			return reason(i) //nolint:gosec // a few
		}
	}
	return invalid
}

// metrics are the receiver's own; all of them exist from the start, so that a
// rate over one never misses its first increase.
type metrics struct {
	by      [transports]transportMetrics
	reasons [len(reasons)]prometheus.Counter
	dropped [dropReasons]prometheus.Counter
	refused [refusedFors]prometheus.Counter
	age     prometheus.Histogram
}

type transportMetrics struct {
	ok, partial, malformed, unread, refused, bytes prometheus.Counter
	accepted, rejected                             [kinds]prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_otlp_requests_total",
		Help: "OTLP metrics requests, by what became of them; unread ones were too large, wrongly compressed or cut off, refused ones have to come again.",
	}, []string{"transport", "outcome"})
	size := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_otlp_request_bytes_total",
		Help: "Bytes of the OTLP metrics requests that were read, uncompressed.",
	}, []string{"transport"})
	points := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_otlp_points_total",
		Help: "OTLP data points, by type and by what became of them.",
	}, []string{"transport", "kind", "outcome"})
	rejected := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_otlp_points_rejected_total",
		Help: "OTLP data points that were rejected, by why.",
	}, []string{"reason"})
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_otlp_attributes_dropped_total",
		Help: "Attributes of OTLP data points and resources that were not stored because their keys can't be labels, by why; the points were stored.",
	}, []string{"reason"})
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_otlp_requests_refused_total",
		Help: "OTLP metrics requests that the scaler rejected as retryable, by reason: in_flight (too many bytes of requests in memory) or memory (too little left).",
	}, []string{"reason"})
	m := &metrics{age: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "keda_otel_scaler_otlp_sample_age_seconds",
		Help: "How old the first point of an OTLP request in protobuf was when it arrived; below 0 the sender's clock is ahead.",
		// For those who don't scrape native histograms.
		Buckets:                         []float64{-60, -5, -1, 0, 1, 5, 15, 30, 60, 120},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100, // times are the senders' to choose
		NativeHistogramMinResetDuration: time.Hour,
	})}
	for t := range transports {
		by := &m.by[t]
		of := requests.MustCurryWith(prometheus.Labels{"transport": t.String()})
		by.ok, by.partial = of.WithLabelValues("ok"), of.WithLabelValues("partial")
		by.malformed, by.unread = of.WithLabelValues("malformed"), of.WithLabelValues("unread")
		by.refused = of.WithLabelValues("refused")
		by.bytes = size.WithLabelValues(t.String())
		for k := range kinds {
			by.accepted[k] = points.WithLabelValues(t.String(), k.String(), "accepted")
			by.rejected[k] = points.WithLabelValues(t.String(), k.String(), "rejected")
		}
	}
	for i := range reasons {
		m.reasons[i] = rejected.WithLabelValues(reasons[i].name)
	}
	for i := range m.dropped {
		m.dropped[i] = dropped.WithLabelValues(dropReasonNames[i])
	}
	for i := range m.refused {
		m.refused[i] = refused.WithLabelValues(refusedForNames[i])
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{requests, refused, size, points, rejected, dropped, m.age} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering the OTLP receiver's metrics: %w", err)
		}
	}
	return m, nil
}

// count adds one request's result, and of its times the first point's, in ns:
// one that is as wrong as the rest is enough to show a sender's clock.
func (m *metrics) count(in *batch, via transport) {
	by, r := &m.by[via], &in.t.result
	if len(in.points) > 0 && in.points[0].time > 0 {
		m.age.Observe(float64(in.app.Arrival())/1e3 - float64(in.points[0].time)/1e9)
	}
	if r.rejectedPoints() > 0 {
		by.partial.Inc()
		for i, n := range r.reasons {
			m.reasons[i].Add(float64(n))
		}
	} else {
		by.ok.Inc()
	}
	for i, n := range r.dropped {
		if n > 0 {
			m.dropped[i].Add(float64(n))
		}
	}
	for k := range kinds {
		if n := r.accepted[k]; n > 0 {
			by.accepted[k].Add(float64(n))
		}
		if n := r.rejected[k]; n > 0 {
			by.rejected[k].Add(float64(n))
		}
	}
}
