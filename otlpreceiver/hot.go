package otlpreceiver

import (
	"encoding/binary"
	"errors"
	"math"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// store appends what the batch holds, in the order of the request.
func (in *batch) store() {
	metrics, points := in.metrics, in.points
	for i := range in.resources {
		r := &in.resources[i]
		in.t.resource = r.origin.labels
		if r.origin.problem != nil {
			in.t.result.warn("", r.origin.problem)
		}
		for j := range metrics[:r.metrics] {
			m := &metrics[j]
			switch {
			case m.own:
				if all, err := in.part(m.decoded, in.bytes(m.raw), metricPath); err == nil { // as it was checked
					in.t.metric(all)
				}
			case m.kind == explicitHistogram:
				in.storeHistograms(r.origin, m, points[:m.points])
			default:
				in.storeNumbers(r.origin, m, points[:m.points])
			}
			points = points[m.points:]
		}
		metrics = metrics[r.metrics:]
	}
}

// storeNumbers is the hot path: a value for a series that is known. Everything else
// about a number is slowNumber's.
func (in *batch) storeNumbers(o *origin, m *metricPart, points []point) {
	in.app.Since(0)
	for i := range points {
		p := &points[i]
		var err error
		ms := int64(p.time / 1e6) //nolint:gosec // at most 1.8e13
		if m.counter {
			in.app.Since(p.start())
		}
		switch {
		case p.series == nil || !p.plain:
			err = in.slowNumber(o, m, p)
		case !m.delta:
			_, err = in.app.AppendTo(p.series, ms, p.value)
		case math.IsNaN(p.value) || math.IsInf(p.value, 0):
			err = errDeltaNaN
		default:
			_, err = in.app.AddTo(p.series, ms, p.value)
		}
		if err != nil && errors.Is(err, store.ErrFreed) {
			err = in.slowNumber(o, m, p)
		}
		if err != nil {
			in.t.result.reject(m.kind, string(in.bytes(m.name)), 1, err)
			continue
		}
		in.t.result.accepted[m.kind]++
	}
}

// slowNumber takes a number as pdata's, and remembers its series.
func (in *batch) slowNumber(o *origin, m *metricPart, p *point) error {
	alone, err := in.enter(m, p)
	if err != nil {
		return err
	}
	if err := in.t.number(in.metric, alone.Gauge().DataPoints().At(0)); err != nil {
		return err
	}
	in.describe(m)
	if ser := in.app.Held(in.t.series.named(in.metric.name)); ser != nil {
		in.r.cache.put(o, p.id, ser)
	}
	return nil
}

// storeHistograms is the hot path for the buckets, count and sum of a histogram
// whose series are known. Everything else is slowHistogram's.
func (in *batch) storeHistograms(o *origin, m *metricPart, points []point) {
	for i := range points {
		p := &points[i]
		h := &in.histograms[p.histogram]
		var err error
		if p.series == nil || !p.plain || !h.plain(m) {
			err = in.slowHistogram(o, m, p)
		} else if err = in.known(m, p, h); errors.Is(err, store.ErrFreed) {
			// What was stored before it came to a freed series is a duplicate now.
			err = in.slowHistogram(o, m, p)
		}
		if err != nil {
			in.t.result.reject(m.kind, string(in.bytes(m.name)), 1, err)
			continue
		}
		in.t.result.accepted[m.kind]++
	}
}

// plain tells whether checkHistogram would let the buckets pass whose bounds it
// has let pass before.
func (h *histogramPart) plain(m *metricPart) bool {
	if len(h.counts) != len(h.bounds)+8 && len(h.counts)+len(h.bounds) > 0 {
		return false
	}
	if m.delta && (math.IsNaN(h.sum) || math.IsInf(h.sum, 0)) {
		return false
	}
	var upTo uint64
	for c := h.counts; len(c) > 0; c = c[8:] {
		n := binary.LittleEndian.Uint64(c)
		if upTo+n < upTo {
			return false
		}
		upTo += n
	}
	return true
}

// known appends a histogram's point to its series, in translator.histogram's order.
func (in *batch) known(m *metricPart, p *point, h *histogramPart) error {
	var first firstError
	ms := int64(p.time / 1e6) //nolint:gosec // at most 1.8e13
	in.app.Since(p.start())
	add := in.app.AppendTo
	if m.delta {
		add = in.app.AddTo
	}
	all := h.series
	last := len(all) - 2 // le="+Inf"
	if h.hasSum {
		last--
	}
	var upTo uint64
	for i, ser := range all {
		v := float64(h.count)
		switch {
		case i < last:
			upTo += binary.LittleEndian.Uint64(h.counts[8*i:])
			v = float64(upTo)
		case i == last+1 && h.hasSum:
			v = h.sum
		}
		if _, err := add(ser, ms, v); err != nil {
			if errors.Is(err, store.ErrFreed) {
				return err
			}
			first.note(err)
		}
	}
	return first.err
}

// slowHistogram takes a histogram as pdata's, and remembers its series.
func (in *batch) slowHistogram(o *origin, m *metricPart, p *point) error {
	alone, err := in.enter(m, p)
	if err != nil {
		return err
	}
	dp := alone.Histogram().DataPoints().At(0)
	if err := in.t.histogram(in.metric, dp); err != nil {
		return err
	}
	in.describe(m)
	if !p.plain {
		return nil // a marker: its bounds, if any, mean nothing
	}
	var all []*store.Series
	for lset := range in.t.histogramSeries(in.metric, dp) {
		ser := in.app.Held(lset)
		if ser == nil {
			return nil
		}
		all = append(all, ser)
	}
	in.r.cache.put(o, p.id, all...)
	return nil
}

// enter prepares the slow path of a point: its metric's name, once, and the
// point as pdata has it.
func (in *batch) enter(m *metricPart, p *point) (pmetric.Metric, error) {
	giveWay()
	if in.entered != m {
		in.entered, in.told = m, false
		in.metric = metric{sent: string(in.bytes(m.name)), delta: m.delta, counter: m.counter}
		in.metric.name, in.problem = in.t.names.metric(in.metric.sent)
	}
	if in.problem != nil {
		return pmetric.Metric{}, in.problem
	}
	return in.part(p.decoded, in.bytes(p.raw), pointPath(m.kind))
}
