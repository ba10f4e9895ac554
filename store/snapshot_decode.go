package store

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/encoding"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

var (
	// ErrSnapshot is wrapped by the errors about a snapshot that can't be read.
	ErrSnapshot = errors.New("damaged snapshot")
	// ErrOldSnapshot is wrapped if the snapshot is older than the retention.
	ErrOldSnapshot = errors.New("the snapshot is older than the retention")
)

const (
	// maxTime bounds the times of samples, in ms, far from where they overflow.
	maxTime = 1 << 50
	// leastBody is the size of a series' body with one sample, in bytes.
	leastBody = 7
)

// decoder reads a part of a snapshot. After the first fault all its results are zero.
// The size of the part bounds what it allocates.
type decoder struct{ encoding.Decbuf }

func newDecoder(b []byte) *decoder { return &decoder{encoding.Decbuf{B: b}} }

func (d *decoder) fail(fault string) {
	if d.E == nil {
		d.B, d.E = nil, errors.New(fault)
	}
}

// more reports whether anything is left and there was no fault: after its own faults,
// Decbuf leaves the rest where it is.
func (d *decoder) more() bool { return d.E == nil && d.Len() > 0 }

// done returns the first fault, also if anything is left.
func (d *decoder) done() error {
	if d.Len() > 0 {
		d.fail("more is there than what it says")
	}
	if d.E == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrSnapshot, d.E)
}

// length reads how many things follow; each takes at least so many bytes.
func (d *decoder) length(each int, what string) int {
	n := d.Uvarint64()
	if n > uint64(d.Len()/each) { //nolint:gosec // neither is negative
		d.fail(what + " is out of its bounds")
		return 0
	}
	return int(n) //nolint:gosec // at most the block's length
}

// text reads bytes with their length. Decbuf.UvarintBytes panics if that is negative.
func (d *decoder) text() []byte {
	n := d.length(1, "a text's length")
	out := d.B[:n]
	d.B = d.B[n:]
	return out
}

func (d *decoder) float() float64 {
	return math.Float64frombits(bits.ReverseBytes64(d.Uvarint64()))
}

func (d *decoder) floats(what string) []float64 {
	n := d.length(1, what)
	if n == 0 {
		return nil
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = d.float()
	}
	return out
}

// body reads what a series is beside its labels, and moves all times by shift. Of more
// than limit samples it stores the newest.
func (s *Series) body(b []byte, shift int64, limit int) error {
	d := newDecoder(b)
	s.lag = int32(min(max(d.Varint64(), math.MinInt32), math.MaxInt32)) //nolint:gosec // bounded right here
	s.interval, s.ahead = d.Uvarint32(), d.Uvarint32()
	n := d.length(2, "the number of samples")
	if n == 0 {
		d.fail("a series has no samples")
	}
	t, delta, before := d.Varint64()+shift, int64(0), uint64(0)
	s.ring = ring.New(min(n, limit), limit)
	for i := range n {
		second := d.Varint64()
		delta += second >> 1
		if t += delta; t < 0 || t > maxTime {
			d.fail("a sample's time is out of its bounds")
		}
		if i > 0 && delta <= 0 {
			d.fail("samples are not in the order of their times")
		}
		in := ring.Sample{T: t}
		if second&sampleHistogram != 0 {
			in.Hist = d.histogram()
		} else {
			before ^= bits.ReverseBytes64(d.Uvarint64())
			in.V = math.Float64frombits(before)
		}
		if d.E != nil {
			break
		}
		s.ring.Push(in, math.MinInt64, limit)
	}
	return d.done()
}

func (d *decoder) histogram() *histogram.FloatHistogram {
	h := &histogram.FloatHistogram{CounterResetHint: histogram.CounterResetHint(d.Byte())}
	h.Schema = int32(d.Varint64()) //nolint:gosec // Validate checks it
	h.ZeroThreshold, h.ZeroCount, h.Count, h.Sum = d.float(), d.float(), d.float(), d.float()
	h.PositiveSpans, h.NegativeSpans = d.spans(), d.spans()
	h.PositiveBuckets = d.floats("the number of a histogram's buckets")
	h.NegativeBuckets = d.floats("the number of a histogram's buckets")
	h.CustomValues = d.floats("the number of a histogram's bounds")
	if h.CounterResetHint > histogram.GaugeType {
		d.fail("a histogram's hint is unknown")
	}
	if err := h.Validate(); err != nil { // or a later one may panic when it is compared
		d.fail("a histogram is invalid: " + err.Error())
	}
	return h
}

func (d *decoder) spans() []histogram.Span {
	n := d.length(2, "the number of a histogram's spans")
	if n == 0 {
		return nil
	}
	out := make([]histogram.Span, n)
	for i := range out {
		out[i] = histogram.Span{Offset: int32(d.Varint64()), Length: d.Uvarint32()} //nolint:gosec // Validate checks it
	}
	return out
}
