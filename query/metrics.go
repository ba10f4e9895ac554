package query

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the engine's own.
type metrics struct {
	direct, engine         prometheus.Counter
	directTime, engineTime prometheus.Observer
}

func newMetrics(reg prometheus.Registerer) metrics {
	f := promauto.With(reg)
	evaluations := f.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_evaluations_total",
		Help: "Evaluations of triggers' queries, by path: direct (from the samples) or engine (by the PromQL engine).",
	}, []string{"path"})
	duration := f.NewHistogramVec(prometheus.HistogramOpts{
		Name: "keda_otel_scaler_evaluation_duration_seconds",
		Help: "How long direct evaluations, and those by the PromQL engine, took.",
		// For those who don't scrape native histograms.
		Buckets:                         []float64{1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, []string{"path"})
	return metrics{
		direct: evaluations.WithLabelValues("direct"), engine: evaluations.WithLabelValues("engine"),
		directTime: duration.WithLabelValues("direct"), engineTime: duration.WithLabelValues("engine"),
	}
}
