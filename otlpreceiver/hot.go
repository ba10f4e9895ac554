package otlpreceiver

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// store appends what the batch holds, in the order of the request.
func (in *batch) store() {
	metrics, points := in.metrics, in.points
	for i := range in.resources {
		r := &in.resources[i]
		in.t.resource = r.origin.labels
		in.app.From(r.origin.sender)
		in.t.result.drop("", &r.origin.without)
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
			in.reject(m, err)
			continue
		}
		in.t.result.accepted[m.kind]++
	}
}

// reject counts a point that is not stored.
func (in *batch) reject(m *metricPart, err error) {
	name := in.metric.sent
	if in.entered != m {
		name = string(in.bytes(m.name))
	}
	in.t.result.reject(m.kind, name, 1, err)
}

// slowNumber takes a number whose series has to be looked up, and remembers that,
// unless an attribute was dropped: every request reports that again.
func (in *batch) slowNumber(o *origin, m *metricPart, p *point) error {
	if err := in.enter(m); err != nil {
		return err
	}
	var ok bool
	if in.t.attrs, ok = appendText(in.t.attrs[:0], in.bytes(p.raw)); ok {
		if err := in.textNumber(p); err != nil {
			return err
		}
	} else {
		alone, err := in.part(p.decoded, in.bytes(p.raw), numberPath)
		if err != nil {
			return err
		}
		if err := in.t.number(in.metric, alone.Gauge().DataPoints().At(0)); err != nil {
			return err
		}
	}
	in.describe(m)
	if ser := in.app.Last(); ser != nil && in.t.without.first == nil {
		in.r.cache.put(o, p.id, ser)
	}
	return nil
}

// textNumber is translator.number for a point whose attributes are t.attrs; the
// appender knows since when it counts.
func (in *batch) textNumber(p *point) error {
	if err := in.t.label(in.metric); err != nil {
		return err
	}
	ms := int64(p.time / 1e6) //nolint:gosec // at most 1.8e13
	lset := in.t.series.named(in.metric.name)
	if !p.plain {
		return in.t.end(lset, ms)
	}
	return in.t.float(in.metric, lset, ms, p.value)
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
			in.reject(m, err)
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

// slowHistogram takes a histogram as pdata's, and remembers its series, as
// slowNumber does.
func (in *batch) slowHistogram(o *origin, m *metricPart, p *point) error {
	if err := in.enter(m); err != nil {
		return err
	}
	alone, err := in.part(p.decoded, in.bytes(p.raw), histogramPointPath)
	if err != nil {
		return err
	}
	dp := alone.Histogram().DataPoints().At(0)
	if err := in.t.histogram(in.metric, dp); err != nil {
		return err
	}
	in.describe(m)
	if !p.plain || in.t.without.first != nil {
		return nil // a marker: its bounds, if any, mean nothing
	}
	var all []*store.Series
	for lset := range in.t.histogramSeries(in.metric, dp) {
		ser := in.app.Lookup(lset)
		if ser == nil {
			return nil
		}
		all = append(all, ser)
	}
	in.r.cache.put(o, p.id, all...)
	return nil
}

// enter prepares the slow path of a point: its metric's name, once.
func (in *batch) enter(m *metricPart) error {
	in.giveWay()
	if in.entered != m {
		in.entered, in.told = m, false
		in.metric = metric{sent: string(in.bytes(m.name)), delta: m.delta, counter: m.counter}
		in.metric.name, in.problem = in.t.names.metric(in.metric.sent)
	}
	return in.problem
}
