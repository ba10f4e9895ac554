package otlp

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// TestSameMetadataAsPrometheus: the same families with the same types, units and
// help, of every type and of units that Prometheus spells out.
func TestSameMetadataAsPrometheus(t *testing.T) {
	said := func(ms pmetric.MetricSlice, unit, help string) {
		m := ms.At(ms.Len() - 1)
		m.SetUnit(unit)
		m.SetDescription(help)
	}
	fill := func(ms pmetric.MetricSlice) {
		counted := func(name string, monotonic bool) {
			p := sum(ms, name, monotonic)
			p.SetTimestamp(at(5))
			p.SetIntValue(1)
		}
		counted("http.server.bytes", true)
		said(ms, "By", "sent \"so far\"")
		counted("queue", false)
		said(ms, "{request}", "")
		add(ms, "share").SetEmptyGauge().DataPoints().AppendEmpty().SetTimestamp(at(5))
		ms.At(ms.Len() - 1).Gauge().DataPoints().At(0).SetDoubleValue(0.5)
		said(ms, "1", "of the cache")
		add(ms, "speed").SetEmptyGauge().DataPoints().AppendEmpty().SetTimestamp(at(5))
		ms.At(ms.Len() - 1).Gauge().DataPoints().At(0).SetDoubleValue(7)
		said(ms, "km/h", "of the train")
		histogramAt(ms, 5, []float64{1}, []uint64{1, 2})
		said(ms, "s", "how long")
		exponentialAt(ms, 5, 3, -4, 1, 0, 2)
		said(ms, "ms", "how long, natively")
		p := add(ms, "q").SetEmptySummary().DataPoints().AppendEmpty()
		p.SetTimestamp(at(5))
		p.QuantileValues().AppendEmpty().SetQuantile(0.5)
		said(ms, "tokens", "at the client")
		deltaOf(ms, 2, 5, 1)
		said(ms, "", "since the last push")
	}
	p, o := newTheirs(), newOurs(t)
	md := request(push{at: 5, fill: fill})
	require.Equal(t, http.StatusOK, post(t, p.handler, md))
	require.Equal(t, http.StatusOK, post(t, o.handler, md))
	require.Len(t, p.said, 8)
	require.Equal(t, p.said, o.store.Metadata(""))
}
