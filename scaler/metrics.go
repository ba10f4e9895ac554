package scaler

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	answers map[cause]prometheus.Counter
	streams prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	answers := f.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_answers_total",
		Help: "Decisions about a trigger, by why they came out as they did; held_* are errors that make KEDA hold. " +
			"What a push finds unchanged on an open stream does not count.",
	}, []string{"cause"})
	m := &metrics{
		answers: map[cause]prometheus.Counter{},
		streams: f.NewGauge(prometheus.GaugeOpts{
			Name: "keda_otel_scaler_streams",
			Help: "Streams that KEDA has open.",
		}),
	}
	for _, c := range []cause{
		causeValue, causeFiltered, causeNeverSeen, causeEnded, causeIdle, causeOnMissing,
		causeGone, causeWarming, causeTooFew, causeFailed,
	} {
		m.answers[c] = answers.WithLabelValues(string(c))
	}
	return m
}
