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
	streams     prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	answers := f.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_answers_total",
		Help: "Decisions about a trigger, by why they came out as they did; held_* are errors that make KEDA hold, part_gone and restored are values from before. " +
			"What a push finds unchanged on an open stream does not count.",
	}, []string{"cause"})
	transitions := f.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_transitions_total",
		Help: "Changes of what KEDA is told of a trigger, the first answer included, by what it is told from then on: active, inactive or held.",
	}, []string{"to"})
	m := &metrics{
		answers:     map[cause]prometheus.Counter{},
		transitions: map[string]prometheus.Counter{},
		refused: f.NewCounter(prometheus.CounterOpts{
			Name: "keda_otel_scaler_triggers_refused_total",
			Help: "Questions of KEDA about a trigger whose metadata or query was refused.",
		}),
		expensive: f.NewCounter(prometheus.CounterOpts{
			Name: "keda_otel_scaler_expensive_answers_total",
			Help: "Answers to KEDA for which the PromQL engine took 50 ms or more; the log names the ScaledObjects.",
		}),
		streams: f.NewGauge(prometheus.GaugeOpts{
			Name: "keda_otel_scaler_streams",
			Help: "Streams that KEDA has open.",
		}),
	}
	for _, c := range []cause{
		causeValue, causeFiltered, causeNeverSeen, causeEnded, causeIdle, causeOnMissing,
		causeGone, causePartial, causeRestored, causeWarming, causeTooFew, causeTooOld, causeFailed,
	} {
		m.answers[c] = answers.WithLabelValues(string(c))
	}
	for _, to := range []string{toldActive, toldInactive, toldHeld} {
		m.transitions[to] = transitions.WithLabelValues(to)
	}
	return m
}

// What KEDA is told, as /metrics names it.
const (
	toldActive   = "active"
	toldInactive = "inactive"
	toldHeld     = "held"
)

func (a answer) told() string {
	switch {
	case a.err != nil:
		return toldHeld
	case a.active:
		return toldActive
	default:
		return toldInactive
	}
}
