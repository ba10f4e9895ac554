package otlpreceiver

import (
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
	decoded    []pmetric.Metric // by pdata
	own        int              // metrics that are all pdata's
	enclosed   []byte           // scratch
}

// resourcePart is a resource and how many metrics it has.
type resourcePart struct {
	raw     []byte
	origin  *origin
	metrics int
}

// metricPart is a metric and how many points it has.
type metricPart struct {
	raw    []byte
	name   []byte
	kind   kind
	delta  bool
	points int
	// own says that all of the metric is pdata's; decoded is its place, or -1.
	own     bool
	decoded int32

	// What only the slow path needs, once it has needed it.
	entered bool
	in      metric
	problem error
}

// maxPooled is the number of points beyond which a batch's memory goes back to
// the runtime: one large request must not pin it for ever.
const maxPooled = 1 << 16

func newBatch(r *Receiver) *batch {
	app := r.store.Appender()
	return &batch{r: r, app: app, t: newTranslator(app, r.promotion)}
}

func (in *batch) reset() {
	in.request = nil
	in.app.Reset()
	in.t.reset()
	in.resources, in.metrics, in.points, in.histograms = in.resources[:0], in.metrics[:0], in.points[:0], in.histograms[:0]
	in.own = 0
	clear(in.decoded)
	in.decoded = in.decoded[:0]
}

// read takes a request in, and tells whether the batch now holds all of it. If
// not, pdata must read the request: it is malformed, or merely unusual.
func (in *batch) read(b []byte) bool {
	in.request = b
	for i := 0; i < len(b); {
		from, to := span(b, i)
		if to == 0 || b[i] != requestResourceMetrics || !in.readResource(from, to) {
			return false
		}
		i = to
	}
	return in.find()
}

// Positions are those in the request throughout.

func (in *batch) readResource(i, end int) bool {
	b := in.request[:end]
	before := len(in.metrics)
	var r resourcePart
	for i < end {
		from, to := span(b, i)
		switch {
		case to == 0:
			return false
		case b[i] == resourceMetricsResource && r.raw == nil:
			r.raw = b[from:to:to]
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
	r.metrics = len(in.metrics) - before
	in.resources = append(in.resources, r)
	return true
}

func (in *batch) readScope(i, end int) bool {
	b := in.request[:end]
	for i < end {
		from, to := span(b, i)
		switch {
		case to == 0:
			return false
		case b[i] == scopeMetricsScope && plainScope(b[from:to]):
		case b[i] == scopeMetricsMetrics:
			points, histograms := len(in.points), len(in.histograms)
			m := metricPart{raw: b[from:to:to], decoded: -1}
			if !in.readMetric(&m, from, to) {
				// Slow path: this metric is for pdata.
				in.points, in.histograms = in.points[:points], in.histograms[:histograms]
				var ok bool
				if m.decoded, ok = in.check(m.raw, metricPath); !ok || in.own >= maxOwnMetrics {
					return false
				}
				m.own = true
				in.own++
			}
			m.points = len(in.points) - points
			in.metrics = append(in.metrics, m)
		case b[i] == scopeMetricsSchemaURL:
		default:
			return false
		}
		i = to
	}
	return true
}

func (in *batch) readMetric(m *metricPart, i, end int) bool {
	b := in.request[:end]
	var from, to int // of the data
	for i < end {
		first, next := span(b, i)
		switch {
		case next == 0:
			return false
		case b[i] == metricName:
			m.name = b[first:next:next]
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
	return to != 0 && len(m.name) > 0 && in.readData(m, from, to)
}

// readData reads a gauge, sum or histogram.
func (in *batch) readData(m *metricPart, i, end int) bool {
	b := in.request[:end]
	temporality := uint64(0)
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
			if _, i = uvarint(b, i+1); i == 0 {
				return false
			}
		default:
			return false
		}
	}
	m.delta = temporality == uint64(pmetric.AggregationTemporalityDelta)
	return m.kind == gauge || m.delta || temporality == uint64(pmetric.AggregationTemporalityCumulative)
}

func (in *batch) readPoint(m *metricPart, from, to int) bool {
	b := in.request[from:to]
	in.points = append(in.points, point{
		raw:     [2]uint32{uint32(from), uint32(to)}, //nolint:gosec // gRPC's messages are below 2^32
		decoded: -1,
	})
	p := &in.points[len(in.points)-1]
	if m.kind != explicitHistogram {
		return p.readNumber(b, &in.r.hasher)
	}
	p.histogram = int32(len(in.histograms)) //nolint:gosec // fewer than bytes
	in.histograms = append(in.histograms, histogramPart{})
	return p.readHistogram(b, &in.r.hasher, &in.histograms[p.histogram])
}

// find looks every point up, and has pdata read those that are new, so that
// from here on nothing is malformed. It reports false if something is.
func (in *batch) find() bool {
	metrics, points := in.metrics, in.points
	for i := range in.resources {
		r := &in.resources[i]
		if !in.findOrigin(r) {
			return false
		}
		of := metrics[:r.metrics]
		metrics = metrics[r.metrics:]
		misses := in.findPoints(r.origin, of, points)
		for j := range of {
			m := &of[j]
			for k := range points[:m.points] {
				if misses > 0 && points[k].entry == nil && !in.checkPoint(m, &points[k]) {
					return false
				}
			}
			points = points[m.points:]
		}
	}
	return true
}

func (in *batch) checkPoint(m *metricPart, p *point) (ok bool) {
	p.decoded, ok = in.check(in.request[p.raw[0]:p.raw[1]], pointPath(m.kind))
	return ok
}

func (in *batch) findOrigin(r *resourcePart) bool {
	id := in.r.hasher.of(r.raw)
	if r.origin = in.r.cache.origin(id); r.origin != nil {
		return true
	}
	in.enclosed = enclose(in.enclosed[:0], r.raw, resourcePath...)
	md, err := decode(in.enclosed)
	if err != nil {
		return false
	}
	o := &origin{}
	o.labels, o.problem = in.t.resourceLabels(md.ResourceMetrics().At(0).Resource())
	r.origin = in.r.cache.putOrigin(id, o)
	return true
}

// findPoints is the hot path. It returns how many points are not known.
func (in *batch) findPoints(o *origin, metrics []metricPart, points []point) (misses int) {
	cache := in.r.cache
	o.mu.RLock()
	defer o.mu.RUnlock()
	for i := range metrics {
		m := &metrics[i]
		if m.points == 0 {
			continue
		}
		name := in.r.hasher.of(m.name)
		for j := range points[:m.points] {
			p := &points[j]
			p.id = name.and(p.id)
			if m.kind == explicitHistogram {
				p.id = p.id.and(in.histograms[p.histogram].shape())
			}
			if p.entry = o.points[p.id]; p.entry == nil {
				misses++
				continue
			}
			cache.touch(&p.entry.used)
		}
		points = points[m.points:]
	}
	return misses
}

// shape sets a histogram's series apart from a number's, and those of one that
// has a sum from those of one that hasn't.
func (h *histogramPart) shape() key {
	if h.hasSum {
		return key{2, 2}
	}
	return key{1, 1}
}
