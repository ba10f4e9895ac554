package httpapi

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	requests *prometheus.CounterVec
	panics   prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keda_otel_scaler_http_requests_total",
			Help: "Requests of the HTTP API that were answered, by endpoint and status code; 499 is a client that went away.",
		}, []string{"endpoint", "code"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "keda_otel_scaler_http_panics_total",
			Help: "Panics caught while answering a request of the HTTP API; each is logged with its stack.",
		}),
	}
	if registerer != nil {
		registerer.MustRegister(m.requests, m.panics)
	}
	return m
}
