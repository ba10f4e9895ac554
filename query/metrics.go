package query

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the engine's own. What stands, and what a push finds, is only
// counted: looking at the clock twice would cost as much as the answer.
type metrics struct {
	standing, pushed, direct, engine prometheus.Counter
	directTime, engineTime           prometheus.Observer
}

func newMetrics(reg prometheus.Registerer) metrics {
	f := promauto.With(reg)
	evaluations := f.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_evaluations_total",
		Help: "Evaluations of triggers' queries, by path: standing (nothing had changed since the last), pushed (by a push, for open streams), " +
			"direct (from the samples) or engine (by the PromQL engine).",
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
		standing: evaluations.WithLabelValues("standing"), pushed: evaluations.WithLabelValues("pushed"),
		direct: evaluations.WithLabelValues("direct"), engine: evaluations.WithLabelValues("engine"),
		directTime: duration.WithLabelValues("direct"), engineTime: duration.WithLabelValues("engine"),
	}
}
