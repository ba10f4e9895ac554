package otlpreceiver

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// What the hot path can't use goes to pdata part by part, each enclosed in
// what makes it a request: a new series then costs itself and not its batch.

// The tags that enclose a part, from the inside out.
var (
	resourcePath       = []byte{resourceMetricsResource, requestResourceMetrics}
	metricPath         = []byte{scopeMetricsMetrics, resourceMetricsScopes, requestResourceMetrics}
	numberPath         = append([]byte{dataPoints, metricGauge}, metricPath...)
	histogramPointPath = append([]byte{dataPoints, metricHistogram}, metricPath...)
)

// enclose appends to dst the request that holds nothing but raw.
func enclose(dst, raw []byte, path ...byte) []byte {
	var sizes [8]int
	size := len(raw)
	for i := range path {
		sizes[i] = size
		size += 1 + protowire.SizeVarint(uint64(size)) //nolint:gosec // not negative
	}
	dst = slices.Grow(dst, size)
	for i, tag := range slices.Backward(path) {
		dst = append(dst, tag)
		dst = protowire.AppendVarint(dst, uint64(sizes[i])) //nolint:gosec // not negative
	}
	return append(dst, raw...)
}

// decode has pdata read a metric, or the path down from one, and returns its
// place in in.decoded. It reports false if it is malformed.
func (in *batch) decode(raw []byte, path ...byte) (place int32, ok bool) {
	in.enclosed = enclose(in.enclosed[:0], raw, path...)
	md, err := decode(in.enclosed)
	if err != nil {
		return -1, false
	}
	m := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
	in.decoded = append(in.decoded, m)
	return int32(len(in.decoded) - 1), true //nolint:gosec // fewer than bytes
}

func (in *batch) decodePoint(m *metricPart, p *point) (ok bool) {
	path := numberPath
	if m.kind == explicitHistogram {
		path = histogramPointPath
	}
	p.decoded, ok = in.decode(in.request[p.raw[0]:p.raw[1]], path...)
	return ok
}
