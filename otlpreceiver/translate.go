package otlpreceiver

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// Reasons for which points are rejected here; the store has its own.
var (
	errNoData        = errors.New("a metric holds no data of a type that OTLP knows")
	errNoTemporality = errors.New("the aggregation temporality is unspecified; set it to delta or cumulative")
	errNoValue       = errors.New("a data point has neither a value nor the no-recorded-value flag")
	errNoTime        = errors.New("a data point has no time (time_unix_nano)")
	errDeltaNaN      = errors.New("a delta is NaN or infinite and would spoil the running total")
)

// translator walks one request and appends its points to the store.
type translator struct {
	app       *store.Appender
	promotion promotion
	names     *namer
	result    result

	resource []labels.Label // of the resource walked now
	series   seriesLabels   // of the point walked now
	attrs    []attribute    // scratch
	own      []labels.Label // scratch
	without  dropped        // of the point walked now
}

func newTranslator(app *store.Appender, p promotion) *translator {
	return &translator{app: app, promotion: p, names: newNamer()}
}

// reset forgets the request before.
func (t *translator) reset() {
	t.result = result{}
	t.resource = nil
	t.names.reset() // its keys are parts of that request
}

func (t *translator) walk(md pmetric.Metrics) {
	for _, rm := range md.ResourceMetrics().All() {
		t.enterResource(rm.Resource())
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				t.metric(m)
			}
		}
	}
}

// enterResource computes the labels of a resource, once for all its points.
func (t *translator) enterResource(r pcommon.Resource) {
	var without dropped
	t.resource, without = t.resourceLabels(r)
	t.app.From(senderOf(t.resource))
	t.result.drop("", &without)
}

// senderOf identifies the sender of a resource by its labels.
func senderOf(ls []labels.Label) uint64 { return labels.New(slices.Clone(ls)...).Hash() }

// resourceLabels returns the labels that points take from a resource, and which
// of its attributes are dropped.
func (t *translator) resourceLabels(r pcommon.Resource) ([]labels.Label, dropped) {
	t.attrs = appendAttributes(t.attrs[:0], r.Attributes())
	ls, without := t.names.resourceLabels(t.promotion, t.attrs)
	if without.first != nil {
		without.first = fmt.Errorf("resource: %w", without.first)
	}
	return ls, without
}

// metric is what the points of one metric have in common.
type metric struct {
	sent  string // the name as it was sent, for messages
	name  string
	delta bool
	// counter tells that the values, or those of a histogram's or summary's
	// count and sum, only rise, but for restarts.
	counter bool
}

func (t *translator) metric(m pmetric.Metric) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		points(t, gauge, m, false, pmetric.AggregationTemporalityCumulative, m.Gauge().DataPoints(), t.number)
	case pmetric.MetricTypeSum:
		points(t, sum, m, m.Sum().IsMonotonic(), m.Sum().AggregationTemporality(), m.Sum().DataPoints(), t.number)
	case pmetric.MetricTypeHistogram:
		h := m.Histogram()
		points(t, explicitHistogram, m, true, h.AggregationTemporality(), h.DataPoints(), t.histogram)
	case pmetric.MetricTypeExponentialHistogram:
		h := m.ExponentialHistogram()
		points(t, exponentialHistogram, m, true, h.AggregationTemporality(), h.DataPoints(), t.exponential)
	case pmetric.MetricTypeSummary:
		points(t, summary, m, true, pmetric.AggregationTemporalityCumulative, m.Summary().DataPoints(), t.summary)
	default:
		t.result.warn(m.Name(), errNoData)
	}
}

// slice is any of pmetric's slices of data points.
type slice[P any] interface {
	Len() int
	At(int) P
}

// points appends the points of one metric, or rejects all of them.
func points[P any, S slice[P]](t *translator, k kind, m pmetric.Metric, counter bool, temporality pmetric.AggregationTemporality, ps S, each func(metric, P) error) {
	name, err := t.names.metric(m.Name())
	if err == nil && temporality != pmetric.AggregationTemporalityCumulative && temporality != pmetric.AggregationTemporalityDelta {
		err = errNoTemporality
	}
	if err != nil {
		t.result.reject(k, m.Name(), int64(ps.Len()), err)
		return
	}
	in := metric{m.Name(), name, temporality == pmetric.AggregationTemporalityDelta, counter}
	before := t.result.accepted[k]
	for i := range ps.Len() {
		t.result.point(k, in.sent, each(in, ps.At(i)))
	}
	if t.result.accepted[k] > before {
		t.describe(name, k, counter, m)
	}
}

// pointOf is what pdata's data points of every kind have.
type pointOf interface {
	Attributes() pcommon.Map
	StartTimestamp() pcommon.Timestamp
	Timestamp() pcommon.Timestamp
}

// enter prepares t.series and t.app for a point and returns its time. A label of
// the point wins over one of its resource.
func (t *translator) enter(m metric, p pointOf) (ms int64, err error) {
	t.app.Since(0)
	at := p.Timestamp()
	if at == 0 {
		return 0, errNoTime
	}
	t.attrs = appendAttributes(t.attrs[:0], p.Attributes())
	// Unsigned until divided: the far future must not become the past.
	ms = int64(uint64(at) / 1e6)                                                   //nolint:gosec // at most 1.8e13
	if start := int64(uint64(p.StartTimestamp()) / 1e6); m.counter && start < ms { //nolint:gosec // the same
		t.app.Since(start)
	}
	return ms, t.label(m)
}

// label makes the labels of t.series of the point's attributes.
func (t *translator) label(m metric) error {
	t.own, t.without = t.names.appendLabels(t.own[:0], t.attrs)
	t.result.drop(m.sent, &t.without)
	t.series.base = appendMerged(t.series.base[:0], t.own, t.resource)
	return checkSize(m.name, t.series.base)
}

func (t *translator) number(m metric, p pmetric.NumberDataPoint) error {
	ms, err := t.enter(m, p)
	if err != nil {
		return err
	}
	lset := t.series.named(m.name)
	if p.Flags().NoRecordedValue() {
		return t.end(lset, ms)
	}
	switch p.ValueType() {
	case pmetric.NumberDataPointValueTypeInt:
		return t.float(m, lset, ms, float64(p.IntValue()))
	case pmetric.NumberDataPointValueTypeDouble:
		return t.float(m, lset, ms, p.DoubleValue())
	default:
		return errNoValue
	}
}

func (t *translator) summary(m metric, p pmetric.SummaryDataPoint) error {
	ms, err := t.enter(m, p)
	if err != nil {
		return err
	}
	t.series.drop("quantile")
	if p.Flags().NoRecordedValue() || value.IsStaleNaN(p.Sum()) {
		return t.endAll(m, "quantile", m.name, ms)
	}
	var first firstError
	first.note(t.float(m, t.series.named(m.name+"_sum"), ms, p.Sum()))
	first.note(t.float(m, t.series.named(m.name+"_count"), ms, float64(p.Count())))
	t.app.Since(0)
	for _, q := range p.QuantileValues().All() {
		lset := t.series.variant(m.name, "quantile", formatFloat(q.Quantile()))
		first.note(t.float(m, lset, ms, q.Value()))
	}
	return first.err
}

// float stores one value. Senders of Prometheus' remote-write descent mark the
// end of a series by the one NaN that means it; all other NaNs are values.
func (t *translator) float(m metric, lset labels.Labels, ms int64, v float64) (err error) {
	switch {
	case value.IsStaleNaN(v):
		return t.end(lset, ms)
	case !m.delta:
		_, err = t.app.Append(lset, ms, v)
	case math.IsNaN(v) || math.IsInf(v, 0):
		err = errDeltaNaN
	default:
		_, err = t.app.Add(lset, ms, v)
	}
	return err
}

func (t *translator) end(lset labels.Labels, ms int64) error {
	_, err := t.app.End(lset, ms)
	return err
}

// endAll ends the series of a histogram or summary. A marker comes without
// bounds, so the variants that are there are looked up.
func (t *translator) endAll(m metric, label, variants string, ms int64) error {
	var first firstError
	first.note(t.app.EndVariants(t.series.named(variants), label, ms))
	first.note(t.end(t.series.named(m.name+"_sum"), ms))
	first.note(t.end(t.series.named(m.name+"_count"), ms))
	return first.err
}

// firstError keeps the first of several errors. A point whose first series is
// refused goes on to its others: those that are known must not stop.
type firstError struct{ err error }

func (f *firstError) note(err error) {
	if f.err == nil {
		f.err = err
	}
}
