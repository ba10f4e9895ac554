package scaler

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	answers     map[cause]prometheus.Counter
	transitions map[string]prometheus.Counter // by where to
	refused     prometheus.Counter
	expensive   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, streams func() int) *metrics {
	f := promauto.With(reg)
	answers := f.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_answers_total",
		Help: "Answers to KEDA, by the cause of the decision: hold_* are errors by which KEDA holds, partial_* are values that include what is missing.",
	}, []string{"cause"})
	transitions := f.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_transitions_total",
		Help: "Changes of the state that a trigger has in answers to KEDA, the first answer included, by the new state: active, inactive or held.",
	}, []string{"to"})
	m := &metrics{
		answers:     map[cause]prometheus.Counter{},
		transitions: map[string]prometheus.Counter{},
		refused: f.NewCounter(prometheus.CounterOpts{
			Name: "keda_otel_scaler_triggers_refused_total",
			Help: "Questions of KEDA about a trigger whose metadata or query was rejected.",
		}),
		expensive: f.NewCounter(prometheus.CounterOpts{
			Name: "keda_otel_scaler_expensive_answers_total",
			Help: "Evaluations of triggers that took 50 ms or more; the log names the ScaledObjects.",
		}),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "keda_otel_scaler_streams",
		Help: "Streams that KEDA has open.",
	}, func() float64 { return float64(streams()) })
	for _, c := range causes {
		m.answers[c] = answers.WithLabelValues(string(c))
	}
	for _, to := range []string{stateActive, stateInactive, stateHeld} {
		m.transitions[to] = transitions.WithLabelValues(to)
	}
	return m
}

// The states that a trigger has in answers to KEDA, as /metrics names them.
const (
	stateActive   = "active"
	stateInactive = "inactive"
	stateHeld     = "held"
)

// stateName returns the state that an answer with the decision reports.
func (d *decision) stateName() string {
	switch {
	case d.err != nil:
		return stateHeld
	case d.active:
		return stateActive
	default:
		return stateInactive
	}
}
