package otlpreceiver

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/prometheus/prometheus/model/value"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// The hot path's view of the wire. It takes what senders write every day and
// nothing else: whatever it does not know, finds twice or finds too long it
// declines, and pdata reads that part, or the request, as it always did. So it
// need not know pdata's opinion on any oddity, and has no errors of its own.
// Tags are one byte: the field's number, and below it its wire type.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2

	requestResourceMetrics = 1<<3 | wireBytes

	resourceMetricsResource  = 1<<3 | wireBytes
	resourceMetricsScopes    = 2<<3 | wireBytes
	resourceMetricsSchemaURL = 3<<3 | wireBytes

	scopeMetricsScope     = 1<<3 | wireBytes
	scopeMetricsMetrics   = 2<<3 | wireBytes
	scopeMetricsSchemaURL = 3<<3 | wireBytes

	scopeName       = 1<<3 | wireBytes
	scopeVersion    = 2<<3 | wireBytes
	scopeAttributes = 3<<3 | wireBytes

	metricName        = 1<<3 | wireBytes
	metricDescription = 2<<3 | wireBytes
	metricUnit        = 3<<3 | wireBytes
	metricGauge       = 5<<3 | wireBytes
	metricSum         = 7<<3 | wireBytes
	metricHistogram   = 9<<3 | wireBytes
	metricMetadata    = 12<<3 | wireBytes

	dataPoints      = 1<<3 | wireBytes // of a gauge, sum or histogram
	dataTemporality = 2<<3 | wireVarint
	dataMonotonic   = 3<<3 | wireVarint

	pointStart = 2<<3 | wireFixed64 // of a number or histogram
	pointTime  = 3<<3 | wireFixed64

	numberDouble     = 4<<3 | wireFixed64
	numberInt        = 6<<3 | wireFixed64
	numberAttributes = 7<<3 | wireBytes
	numberFlags      = 8<<3 | wireVarint

	histogramCount      = 4<<3 | wireFixed64
	histogramSum        = 5<<3 | wireFixed64
	histogramCounts     = 6<<3 | wireBytes
	histogramBounds     = 7<<3 | wireBytes
	histogramAttributes = 9<<3 | wireBytes
	histogramFlags      = 10<<3 | wireVarint
	histogramMin        = 11<<3 | wireFixed64
	histogramMax        = 12<<3 | wireFixed64

	keyValueKey    = 1<<3 | wireBytes
	keyValueValue  = 2<<3 | wireBytes
	anyValueString = 1<<3 | wireBytes
)

// uvarint reads a varint of at most four bytes at b[i:], which is more than
// any length, flag or enum has, and returns what is after it: 0 if there is none.
func uvarint(b []byte, i int) (v uint64, next int) {
	for shift := 0; shift < 28 && i < len(b); shift += 7 {
		c := b[i]
		i++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, i
		}
	}
	return 0, 0
}

// span returns where the bytes of a field lie whose tag was at b[i]: to is 0
// if they are not all there.
func span(b []byte, i int) (from, to int) {
	from = i + 2
	if from > len(b) {
		return 0, 0
	}
	n := int(b[from-1])
	if n >= 0x80 { // a metric or a point, mostly
		if from == len(b) {
			return 0, 0
		}
		if b[from] >= 0x80 {
			return longSpan(b, i)
		}
		n = n&0x7f | int(b[from])<<7
		from++
	}
	if to = from + n; to > len(b) {
		return 0, 0
	}
	return from, to
}

func longSpan(b []byte, i int) (from, to int) {
	n, from := uvarint(b, i+1)
	if to = from + int(n); from == 0 || to > len(b) { //nolint:gosec // below 2^28
		return 0, 0
	}
	return from, to
}

// extent is where a part begins and ends in the request.
type extent struct{ from, to uint32 }

// extentOf fits: gRPC's messages are below 2^32 bytes.
func extentOf(from, to int) extent { return extent{uint32(from), uint32(to)} } //nolint:gosec // see above

// point is one data point of a number or histogram, as far as the hot path has
// come with it. It is one cache line.
type point struct {
	id key // of the attributes, then of all that makes the series
	// series is a number's, or the first of a histogram's; nil if not known.
	series *store.Series
	time   uint64
	value  float64
	raw    extent
	// decoded and histogram are places in the batch; decoded may be -1.
	decoded, histogram int32
	plain              bool // has a value, and nothing says otherwise
	// counting is how long, in ms, a counter has counted since it was zero; 0 if
	// that isn't said, or is more than any retention.
	counting uint32
}

// began notes when a counter was zero. One that began at the time of its value
// was somebody else's before: OTLP says so of a start that isn't known.
func (p *point) began(start uint64) {
	if start == 0 || start >= p.time {
		return
	}
	if ms := p.time/1e6 - start/1e6; ms <= math.MaxUint32 {
		p.counting = uint32(ms) //nolint:gosec // see above
	}
}

// start is when a counter was zero, in ms, or 0.
func (p *point) start() int64 {
	if p.counting == 0 {
		return 0
	}
	return int64(p.time/1e6) - int64(p.counting) //nolint:gosec // at most 1.8e13
}

// attributes are those of the point before. A pod's points mostly have the
// same, byte for byte, and what was read and hashed once need not be again.
type attributes struct {
	raw []byte // whole fields
	id  key
}

// lead tells whether b begins with the same attributes; more may follow.
func (a *attributes) lead(b []byte) bool {
	return len(a.raw) > 0 && bytes.HasPrefix(b, a.raw)
}

// readNumber fills in a number data point, or declines it.
func (p *point) readNumber(b []byte, hash *hasher, before *attributes) bool {
	var from, to int // of the attributes, which must be side by side
	var same, hasValue bool
	var flags, start uint64
	for i := 0; i < len(b); {
		switch b[i] {
		case pointStart, pointTime, numberDouble, numberInt:
			if len(b)-i < 9 {
				return false
			}
			v := binary.LittleEndian.Uint64(b[i+1:])
			switch b[i] {
			case pointStart:
				start = v
			case pointTime:
				p.time = v
			case numberDouble:
				p.value, hasValue = math.Float64frombits(v), true
			case numberInt:
				p.value, hasValue = float64(int64(v)), true //nolint:gosec // the wire's two's complement
			}
			i += 9
		case numberAttributes:
			switch {
			case to == 0 && before.lead(b[i:]):
				from, to, same = i, i+len(before.raw), true
			case to == 0:
				from = i
				_, to = span(b, i)
			case to == i:
				_, to = span(b, i)
				same = false
			default:
				return false
			}
			if to == 0 {
				return false
			}
			i = to
		case numberFlags:
			if flags, i = uvarint(b, i+1); i == 0 {
				return false
			}
		default:
			return false
		}
	}
	if !same {
		before.raw = b[from:to]
		before.id = hash.of(before.raw)
	}
	p.id = before.id
	p.began(start)
	ended := flags&noRecordedValue != 0
	p.plain = !ended && !value.IsStaleNaN(p.value)
	return p.time != 0 && (hasValue || ended)
}

const noRecordedValue = 1 // of a point's flags

// plainAttribute tells whether b is an attribute with a text value and nothing
// else. It is for attributes that are not ours to store but pdata's to refuse:
// a scope's, and the metadata that Collectors' scrapers give every metric.
// Collectors write the value before the key.
func plainAttribute(b []byte) bool {
	for i := 0; i < len(b); {
		from, to := span(b, i)
		switch {
		case to == 0:
			return false
		case b[i] == keyValueKey:
		case b[i] == keyValueValue && plainText(b[from:to]):
		default:
			return false
		}
		i = to
	}
	return true
}

func plainText(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	_, to := span(b, 0)
	return b[0] == anyValueString && to == len(b)
}

// plainScope tells whether b is an instrumentation scope that needs no pdata.
func plainScope(b []byte) bool {
	for i := 0; i < len(b); {
		from, to := span(b, i)
		switch {
		case to == 0:
			return false
		case b[i] == scopeName, b[i] == scopeVersion:
		case b[i] == scopeAttributes && plainAttribute(b[from:to]):
		default:
			return false
		}
		i = to
	}
	return true
}
