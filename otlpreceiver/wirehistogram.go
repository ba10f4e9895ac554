package otlpreceiver

import (
	"encoding/binary"
	"math"

	"github.com/prometheus/prometheus/model/value"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// histogramPart is what a histogram's point has and a number's has not. The
// byte slices are packed little-endian numbers of the request.
type histogramPart struct {
	series         []*store.Series // all of them; nil if not known
	count          uint64
	sum            float64
	hasSum         bool
	counts, bounds []byte
}

// readHistogram fills in a histogram data point, or declines it.
func (p *point) readHistogram(b []byte, hash *hasher, before *attributes, h *histogramPart) bool {
	var from, to int // of the attributes, which must be side by side
	var same bool
	var flags, start uint64
	for i := 0; i < len(b); {
		switch b[i] {
		case pointStart, pointTime, histogramCount, histogramSum, histogramMin, histogramMax:
			if len(b)-i < 9 {
				return false
			}
			v := binary.LittleEndian.Uint64(b[i+1:])
			switch b[i] {
			case pointStart:
				start = v
			case pointTime:
				p.time = v
			case histogramCount:
				h.count = v
			case histogramSum:
				h.sum, h.hasSum = math.Float64frombits(v), true
			}
			i += 9
		case histogramAttributes:
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
		case histogramCounts, histogramBounds:
			first, end := span(b, i)
			if end == 0 || (end-first)%8 != 0 {
				return false
			}
			dst := &h.counts
			if b[i] == histogramBounds {
				dst = &h.bounds
			}
			if *dst != nil {
				return false
			}
			*dst = b[first:end:end]
			i = end
		case histogramFlags:
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
	p.id = before.id.and(hash.of(h.bounds))
	p.began(start)
	p.plain = flags&noRecordedValue == 0 && !value.IsStaleNaN(h.sum)
	return p.time != 0
}
