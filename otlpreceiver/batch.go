package otlpreceiver

import (
	"bytes"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// batch is one request on the hot path: first all of it is read, and only then
// stored, since a malformed one must store nothing. It is used again and again,
// so that a request costs no allocation.
type batch struct {
	r       *Receiver
	app     *store.Appender
	t       *translator // for what the cache does not know
	request []byte      // not ours: gone when the request is

	resources  []resourcePart
	metrics    []metricPart
	points     []point
	histograms []histogramPart
	before     attributes
	decoded    []pmetric.Metric // by pdata
	own        int              // metrics that are all pdata's
	slow       int              // steps on the slow path
	enclosed   []byte           // scratch

	// The metric that the slow path has come to, and what it needs of it.
	entered *metricPart
	metric  metric
	problem error
	told    bool // the store knows what the metric says of itself
}

// resourcePart is a resource and how many metrics and points it has.
type resourcePart struct {
	origin          *origin
	metrics, points int
}

// metricPart is a metric and how many points it has.
type metricPart struct {
	raw, name extent
	id        key // of the name
	points    int32
	decoded   int32 // its place if it is pdata's, or -1
	own       bool  // all of it is pdata's
	kind      kind
	delta     bool
	counter   bool // or a histogram, which is several
}

// maxPooled is the number of points beyond which a batch's memory goes back to
// the runtime: one large request must not pin it for ever.
const maxPooled = 1 << 16

func newBatch(r *Receiver) *batch {
	app := r.store.Appender()
	return &batch{r: r, app: app, t: newTranslator(app, r.promotion)}
}

func (in *batch) reset() {
	in.request, in.before = nil, attributes{}
	in.app.Reset()
	in.t.reset()
	in.resources, in.metrics, in.points, in.histograms = in.resources[:0], in.metrics[:0], in.points[:0], in.histograms[:0]
	in.own, in.slow, in.entered = 0, 0, nil
	clear(in.decoded)
	in.decoded = in.decoded[:0]
}

// bytes returns a part of the request.
func (in *batch) bytes(e extent) []byte { return in.request[e.from:e.to:e.to] }

// read takes a request in, looks every point up, and has pdata read those that
// are new, so that from here on nothing is malformed. It tells whether the batch
// now holds all of the request. If not, pdata must read it: it is malformed, or
// merely unusual.
func (in *batch) read(b []byte) bool {
	in.request = b
	for i := 0; i < len(b); {
		from, to := span(b, i)
		if to == 0 || b[i] != requestResourceMetrics || !in.readResource(from, to) {
			return false
		}
		i = to
	}
	return true
}

// Positions are those in the request throughout.

func (in *batch) readResource(i, end int) bool {
	b := in.request[:end]
	metrics, points := len(in.metrics), len(in.points)
	var raw []byte
	for i < end {
		from, to := span(b, i)
		switch {
		case to == 0:
			return false
		case b[i] == resourceMetricsResource && raw == nil:
			raw = b[from:to:to]
		case b[i] == resourceMetricsScopes:
			if !in.readScope(from, to) {
				return false
			}
		case b[i] == resourceMetricsSchemaURL:
		default:
			return false
		}
		i = to
	}
	of := in.metrics[metrics:]
	r := resourcePart{metrics: len(of), points: len(in.points) - points}
	var ok bool
	if r.origin, ok = in.findOrigin(raw, r.points); !ok {
		return false
	}
	in.resources = append(in.resources, r)
	return in.findPoints(r.origin, of, in.points[points:]) == 0 || in.checkMisses(of, in.points[points:])
}

func (in *batch) readScope(i, end int) bool {
	b := in.request[:end]
	for i < end {
		from, to := span(b, i)
		switch {
		case to == 0:
			return false
		case b[i] == scopeMetricsMetrics:
			if !in.readMetric(from, to) {
				return false
			}
		case b[i] == scopeMetricsScope && plainScope(b[from:to]):
		case b[i] == scopeMetricsSchemaURL:
		default:
			return false
		}
		i = to
	}
	return true
}

func (in *batch) readMetric(from, to int) bool {
	points, histograms := len(in.points), len(in.histograms)
	in.metrics = append(in.metrics, metricPart{raw: extentOf(from, to), decoded: -1})
	m := &in.metrics[len(in.metrics)-1]
	if in.readKnownMetric(m, from, to) {
		m.points = int32(len(in.points) - points) //nolint:gosec // fewer than bytes
		m.id = in.nameOf(m)
		return true
	}
	// Slow path: this metric is for pdata.
	in.points, in.histograms = in.points[:points], in.histograms[:histograms]
	ok := false
	m.decoded, ok = in.check(in.bytes(m.raw), metricPath)
	m.own = true
	in.own++
	return ok && in.own <= maxOwnMetrics
}

func (in *batch) readKnownMetric(m *metricPart, i, end int) bool {
	b := in.request[:end]
	var from, to int // of the data
	for i < end {
		first, next := span(b, i)
		switch {
		case next == 0:
			return false
		case b[i] == metricName:
			m.name = extentOf(first, next)
		case b[i] == metricDescription, b[i] == metricUnit:
		case b[i] == metricMetadata && plainAttribute(b[first:next]):
		case to == 0 && b[i] == metricGauge:
			m.kind, from, to = gauge, first, next
		case to == 0 && b[i] == metricSum:
			m.kind, from, to = sum, first, next
		case to == 0 && b[i] == metricHistogram:
			m.kind, from, to = explicitHistogram, first, next
		default:
			return false
		}
		i = next
	}
	return to != 0 && m.name.to > m.name.from && in.readData(m, from, to)
}

// nameOf returns the key of the last metric's name. Pods of one kind have the
// same metrics, so it is mostly that of its like in the resource before.
func (in *batch) nameOf(m *metricPart) key {
	name := in.bytes(m.name)
	if n := len(in.resources); n > 0 {
		back := in.resources[n-1].metrics
		if i := len(in.metrics) - 1 - back; back > 0 {
			if like := &in.metrics[i]; !like.own && bytes.Equal(in.bytes(like.name), name) {
				return like.id
			}
		}
	}
	return in.r.hasher.of(name)
}

// readData reads a gauge, sum or histogram.
func (in *batch) readData(m *metricPart, i, end int) bool {
	b := in.request[:end]
	var temporality, monotonic uint64
	for i < end {
		switch {
		case b[i] == dataPoints:
			from, to := span(b, i)
			if to == 0 || !in.readPoint(m, from, to) {
				return false
			}
			i = to
		case b[i] == dataTemporality && m.kind != gauge:
			if temporality, i = uvarint(b, i+1); i == 0 {
				return false
			}
		case b[i] == dataMonotonic && m.kind == sum:
			if monotonic, i = uvarint(b, i+1); i == 0 {
				return false
			}
		default:
			return false
		}
	}
	m.counter = m.kind == explicitHistogram || monotonic != 0
	m.delta = temporality == uint64(pmetric.AggregationTemporalityDelta)
	return m.kind == gauge || m.delta || temporality == uint64(pmetric.AggregationTemporalityCumulative)
}

func (in *batch) readPoint(m *metricPart, from, to int) bool {
	b := in.request[from:to]
	in.points = append(in.points, point{raw: extentOf(from, to), decoded: -1})
	p := &in.points[len(in.points)-1]
	if m.kind != explicitHistogram {
		return p.readNumber(b, &in.r.hasher, &in.before)
	}
	p.histogram = int32(len(in.histograms)) //nolint:gosec // fewer than bytes
	in.histograms = append(in.histograms, histogramPart{})
	return p.readHistogram(b, &in.r.hasher, &in.before, &in.histograms[p.histogram])
}

// findOrigin looks a resource up that has so many points. If it is new, pdata
// reads it, and may find it malformed.
func (in *batch) findOrigin(raw []byte, points int) (o *origin, ok bool) {
	id := in.r.hasher.of(raw)
	var before *origin
	if n := len(in.resources); n > 0 {
		before = in.resources[n-1].origin
	}
	if o := in.r.cache.origin(id, before); o != nil {
		return o, true
	}
	in.enclosed = enclose(in.enclosed[:0], raw, resourcePath...)
	md, err := decode(in.enclosed)
	if err != nil {
		return nil, false
	}
	o = &origin{id: id, points: points}
	o.labels, o.without = in.t.resourceLabels(md.ResourceMetrics().At(0).Resource())
	o.sender = senderOf(o.labels)
	return in.r.cache.putOrigin(o), true
}

// findPoints is the hot path. It returns how many points are not known.
func (in *batch) findPoints(o *origin, metrics []metricPart, points []point) (misses int) {
	age := in.r.cache.age.Load()
	next := 0 // where the next one is, most likely
	o.mu.RLock()
	defer o.mu.RUnlock()
	for i := range metrics {
		m := &metrics[i]
		of := points[:m.points]
		points = points[m.points:]
		for j := range of {
			p := &of[j]
			p.id = m.id.and(p.id)
			if m.kind == explicitHistogram {
				p.id = p.id.and(in.histograms[p.histogram].shape())
			}
			found := o.find(p.id, next)
			if found < 0 {
				misses++
				continue
			}
			s := &o.slots[found]
			next = found + 1
			s.touch(age)
			p.series = s.series
			if m.kind == explicitHistogram {
				in.histograms[p.histogram].series = o.histograms[s.histogram-1]
			}
		}
	}
	return misses
}

// checkMisses has pdata read the points that are not known, unless they are plain
// numbers, and tells whether all are well formed.
func (in *batch) checkMisses(metrics []metricPart, points []point) bool {
	for i := range metrics {
		m := &metrics[i]
		for j := range points[:m.points] {
			p := &points[j]
			if p.series != nil {
				continue
			}
			var ok bool
			if m.kind != explicitHistogram {
				if in.t.attrs, ok = appendText(in.t.attrs[:0], in.bytes(p.raw)); ok {
					continue
				}
			}
			if p.decoded, ok = in.check(in.bytes(p.raw), pointPath(m.kind)); !ok {
				return false
			}
		}
		points = points[m.points:]
	}
	return true
}

// shape sets a histogram's series apart from a number's, and those of one that
// has a sum from those of one that hasn't.
func (h *histogramPart) shape() key {
	if h.hasSum {
		return key{2, 2}
	}
	return key{1, 1}
}
