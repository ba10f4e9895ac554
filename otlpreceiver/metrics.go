package otlpreceiver

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the receiver's own; all of them exist from the start, so that a
// rate over one never misses its first increase.
type metrics struct {
	ok, partial, malformed, unread prometheus.Counter
	accepted, rejected             [kinds]prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_otlp_requests_total",
		Help: "OTLP metrics requests, by what became of them; unread ones were too large, wrongly compressed or cut off.",
	}, []string{"outcome"})
	points := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_otlp_points_total",
		Help: "OTLP data points, by type and by what became of them.",
	}, []string{"kind", "outcome"})
	m := &metrics{
		ok:        requests.WithLabelValues("ok"),
		partial:   requests.WithLabelValues("partial"),
		malformed: requests.WithLabelValues("malformed"),
		unread:    requests.WithLabelValues("unread"),
	}
	for k := range kinds {
		m.accepted[k] = points.WithLabelValues(k.String(), "accepted")
		m.rejected[k] = points.WithLabelValues(k.String(), "rejected")
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{requests, points} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering the OTLP receiver's metrics: %w", err)
		}
	}
	return m, nil
}

// count adds one request's result.
func (m *metrics) count(r *result) {
	if r.rejectedPoints() > 0 {
		m.partial.Inc()
	} else {
		m.ok.Inc()
	}
	for k := range kinds {
		if n := r.accepted[k]; n > 0 {
			m.accepted[k].Add(float64(n))
		}
		if n := r.rejected[k]; n > 0 {
			m.rejected[k].Add(float64(n))
		}
	}
}
