package otlpreceiver

import (
	"runtime"
	"slices"

	"go.opentelemetry.io/collector/pdata/pmetric"
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

const (
	// maxDecoded bounds how many parts are kept as pdata makes them, at half a
	// kilobyte each: beyond, they are read once to see that they are not
	// malformed and once more to be stored.
	maxDecoded = 4096
	// maxOwnMetrics is how many metrics are enclosed one by one. A metric may be
	// two bytes, so a request of millions is cheaper to read at once.
	maxOwnMetrics = 1024
)

// parse has pdata read a metric, or what is on the path down from one.
func (in *batch) parse(raw []byte, path []byte) (m pmetric.Metric, err error) {
	in.enclosed = enclose(in.enclosed[:0], raw, path...)
	md, err := decode(in.enclosed)
	if err != nil {
		return m, err
	}
	return md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0), nil
}

// giveWay lets requests whose series are known go first, every now and then. A new
// series takes ten times as long as a sample, and a gateway's restart brings
// thousands at once: without this the others wait for the scheduler to interrupt
// each of those requests in turn, ten milliseconds a time. But each time may wake
// another thread, which costs as much as the series.
func (in *batch) giveWay() {
	if in.slow++; in.slow%64 == 0 {
		runtime.Gosched()
	}
}

// check parses what will be stored later, and tells whether it is well formed.
func (in *batch) check(raw []byte, path []byte) (place int32, ok bool) {
	in.giveWay()
	m, err := in.parse(raw, path)
	if err != nil || len(in.decoded) >= maxDecoded {
		return -1, err == nil
	}
	in.decoded = append(in.decoded, m)
	return int32(len(in.decoded) - 1), true //nolint:gosec // below maxDecoded
}

// part returns what was checked.
func (in *batch) part(place int32, raw []byte, path []byte) (pmetric.Metric, error) {
	if place >= 0 {
		return in.decoded[place], nil
	}
	return in.parse(raw, path)
}

// pointPath returns the path down to the points of a metric of that kind.
func pointPath(k kind) []byte {
	if k == explicitHistogram {
		return histogramPointPath
	}
	return numberPath
}
