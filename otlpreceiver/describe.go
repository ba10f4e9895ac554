package otlpreceiver

import (
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/metadata"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/naming"
)

// What a sender says of a metric is taken in where its series are made, and only
// there: a push of known bytes is not looked at for it. So a text that was edited
// comes in with the first pod that has it.

// typeOf is the type as Prometheus' OTLP receiver has it, with deltas made
// cumulative first.
func typeOf(k kind, counter bool) model.MetricType {
	switch {
	case k == explicitHistogram, k == exponentialHistogram:
		return model.MetricTypeHistogram
	case k == summary:
		return model.MetricTypeSummary
	case counter:
		return model.MetricTypeCounter
	}
	return model.MetricTypeGauge
}

// describe notes what pdata has of a metric.
func (t *translator) describe(family string, k kind, counter bool, m pmetric.Metric) {
	t.app.Describe(family, metadata.Metadata{Type: typeOf(k, counter), Unit: naming.Unit(m.Unit()), Help: m.Description()})
}

// describe notes what the metric of a point that made a series says of itself,
// once for all its points. It was read before, so it is well formed.
func (in *batch) describe(m *metricPart) {
	if in.told {
		return
	}
	in.told = true
	said := metadata.Metadata{Type: typeOf(m.kind, m.counter)}
	raw := in.bytes(m.raw)
	for i := 0; i < len(raw); {
		from, to := span(raw, i)
		if to == 0 {
			return
		}
		switch raw[i] {
		case metricDescription:
			said.Help = string(raw[from:to])
		case metricUnit:
			said.Unit = naming.Unit(string(raw[from:to]))
		}
		i = to
	}
	in.app.Describe(in.metric.name, said)
}
