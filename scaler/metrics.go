package scaler

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	answers     map[cause]prometheus.Counter
	transitions *prometheus.CounterVec
	refused     prometheus.Counter
	expensive   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, streams func() int) *metrics {
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Name: "keda_otel_scaler_" + name, Help: help}
	}
	answers := f.NewCounterVec(counter("answers_total",
		"Answers to KEDA, by the cause of the decision: hold_* are errors by which KEDA holds, partial_* are values that include what is missing."),
		[]string{"cause"})
	m := &metrics{
		answers: map[cause]prometheus.Counter{},
		transitions: f.NewCounterVec(counter("transitions_total",
			"Changes of the state that a trigger has in answers to KEDA, the first answer included, by the new state: active, inactive or held."),
			[]string{"to"}),
		refused: f.NewCounter(counter("triggers_refused_total",
			"Questions of KEDA about a trigger whose metadata or query was rejected.")),
		expensive: f.NewCounter(counter("expensive_answers_total",
			"Evaluations of triggers that took 50 ms or more; the log names the ScaledObjects.")),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "keda_otel_scaler_streams",
		Help: "Streams that KEDA has open.",
	}, func() float64 { return float64(streams()) })
	for _, c := range causes {
		m.answers[c] = answers.WithLabelValues(string(c))
	}
	for _, to := range states {
		m.transitions.WithLabelValues(to) // which is 0 then, not absent
	}
	return m
}

// states are those that a trigger has in answers to KEDA, as /metrics names them.
var states = []string{"active", "inactive", "held"}

// stateName returns the state that an answer with the decision reports.
func (d *decision) stateName() string {
	switch {
	case d.err != nil:
		return "held"
	case d.active:
		return "active"
	}
	return "inactive"
}
