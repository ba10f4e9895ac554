package store

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the store's own. All of them exist from the start, so that a rate over one
// never misses its first increase.
type metrics struct {
	samples  [outcomes]prometheus.Counter
	evicted  prometheus.Counter
	created  prometheus.Counter
	freed    prometheus.Counter
	rejected map[error]prometheus.Counter // by the limit
	steps    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, s *Store) *metrics {
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "keda_otel_scaler_" + name, Help: help})
	}
	samples := f.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_samples_total",
		Help: "Samples that the store received, by outcome.",
	}, []string{"outcome"})
	rejected := f.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_series_refused_total",
		Help: "New series rejected, by the limit that was reached.",
	}, []string{"limit"})
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "keda_otel_scaler_series",
		Help: "Series stored, ended ones included.",
	}, func() float64 { return float64(s.SeriesCount()) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "keda_otel_scaler_series_kept",
		Help: "Series that triggers have selected, counted once for each selection.",
	}, func() float64 { return float64(s.SelectedCount()) })
	for state := range states {
		f.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "keda_otel_scaler_series_states",
			Help:        "Series as the last sweep, one every few seconds, found them: live, late (nothing arrived for 1.5 push intervals) or ended (by their sender).",
			ConstLabels: prometheus.Labels{"state": state.String()},
		}, func() float64 { return float64(s.swept.Load().states[state]) })
	}
	s.rejected.unlisted = counter("rejected_series_unlisted_total",
		"Rejections of load whose series found no room in the list of rejected series: results without them count as complete.")
	m := &metrics{
		evicted: counter("samples_evicted_total",
			"Samples removed within the retention because their series had too many."),
		created: counter("series_created_total", "Series created."),
		freed: counter("series_freed_total",
			"Series freed after they had no sample for the retention, or by a reset."),
		steps: counter("clock_steps_total",
			"Times that the machine's clock was set, by more than a second; stored times were moved with it."),
		rejected: map[error]prometheus.Counter{
			ErrSeriesLimit: rejected.WithLabelValues("all"), ErrMetricLimit: rejected.WithLabelValues("metric"), ErrNoMemory: rejected.WithLabelValues("memory"),
		},
	}
	for o := range outcomes {
		m.samples[o] = samples.WithLabelValues(o.String())
	}
	return m
}
