package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

var (
	// ErrSnapshot is wrapped by the errors about a snapshot that can't be read.
	ErrSnapshot = errors.New("damaged snapshot")
	// ErrOldSnapshot is wrapped if the snapshot is older than the retention.
	ErrOldSnapshot = errors.New("the snapshot is older than the retention")
)

// maxTime bounds the times of samples, in ms, far from where they overflow.
const maxTime = 1 << 50

// decoder reads a block of a snapshot. After the first fault all its results are zero.
// The size of the block bounds what it allocates.
type decoder struct {
	b     []byte
	fault string
}

func (d *decoder) fail(fault string) {
	if d.fault == "" {
		d.b, d.fault = nil, fault
	}
}

func (d *decoder) err() error {
	if d.fault == "" {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrSnapshot, d.fault)
}

// done is err, and an error if anything is left.
func (d *decoder) done() error {
	if len(d.b) > 0 {
		d.fail("more is there than what it says")
	}
	return d.err()
}

func (d *decoder) uvarint() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 { // most of them
		v := d.b[0]
		d.b = d.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("a number is cut off")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1) //nolint:gosec // zigzag, as binary.Varint reads it
}

// within reads a number that must not be above most.
func (d *decoder) within(most uint64, what string) uint64 {
	v := d.uvarint()
	if v > most {
		d.fail(what + " is out of its bounds")
		return 0
	}
	return v
}

func (d *decoder) uint32(what string) uint32 { return uint32(d.within(math.MaxUint32, what)) } //nolint:gosec // bounded

// length reads how many things follow; each takes at least so many bytes.
func (d *decoder) length(each int, what string) int {
	return int(d.within(uint64(len(d.b)/each), what)) //nolint:gosec // at most len(d.b)
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.b) {
		d.fail("a text is cut off")
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) text() []byte { return d.bytes(d.length(1, "a text's length")) }

func (d *decoder) float() float64 {
	return math.Float64frombits(bits.ReverseBytes64(d.uvarint()))
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

// samples reads a ring, and moves all times by shift. Of more than limit samples it
// stores the newest.
func (d *decoder) samples(shift int64, limit int) (r ring.Ring) {
	flags := d.byte()
	if flags&^(flagWide|flagHists) != 0 {
		d.fail("a series has unknown flags")
	}
	wide := flags&flagWide != 0
	n := d.length(2, "the number of samples")
	if n == 0 {
		d.fail("a series has no samples")
		return ring.Ring{}
	}
	var layout *histogram.FloatHistogram
	var t, delta int64
	var v uint64
	for i := range n {
		if i == 0 {
			if t = d.varint() + shift; t < -maxTime || t > maxTime {
				d.fail("a sample's time is out of its bounds")
			}
			r = ring.Restored(t, min(n, limit), limit, wide)
		} else {
			delta += d.varint()
			if t += delta; delta <= 0 || !r.Reaches(t) {
				d.fail("samples are not in the order of their times")
			}
		}
		if d.fault != "" {
			return ring.Ring{}
		}
		var h *histogram.FloatHistogram
		word := uint64(0)
		switch {
		case flags&flagHists != 0 && d.histogram(&h, &layout):
		case wide:
			v ^= bits.ReverseBytes64(d.uvarint())
			word = v
		default:
			v ^= uint64(bits.ReverseBytes32(d.uint32("a value")))
			word = v
		}
		if i >= n-limit {
			r.PushRaw(t, word, h)
		}
	}
	return r
}

// histogram reads a sample, and reports whether it is a histogram.
func (d *decoder) histogram(out, layout **histogram.FloatHistogram) bool {
	kind := d.byte()
	h := &histogram.FloatHistogram{}
	switch kind {
	case sampleFloat:
		return false
	case sampleLayout:
		h.Schema = int32(d.varint()) //nolint:gosec // checked next
		if !histogram.IsKnownSchema(h.Schema) {
			d.fail("a histogram's schema is unknown")
		}
		if b := d.bytes(8); b != nil {
			h.ZeroThreshold = math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
		h.PositiveSpans, h.NegativeSpans = d.spans(), d.spans()
		h.CustomValues = d.floats("the number of a histogram's bounds")
		*layout = h
	case sampleSame:
		l := *layout
		if l == nil {
			d.fail("a histogram is like one that is not there")
			return true
		}
		h.Schema, h.ZeroThreshold, h.CustomValues = l.Schema, l.ZeroThreshold, l.CustomValues
		h.PositiveSpans, h.NegativeSpans = l.PositiveSpans, l.NegativeSpans
	default:
		d.fail("a sample is of an unknown kind")
		return true
	}
	h.CounterResetHint = histogram.CounterResetHint(d.byte())
	h.ZeroCount, h.Count, h.Sum = d.float(), d.float(), d.float()
	h.PositiveBuckets = d.floats("the number of a histogram's buckets")
	h.NegativeBuckets = d.floats("the number of a histogram's buckets")
	if h.CounterResetHint > histogram.GaugeType {
		d.fail("a histogram's hint is unknown")
	}
	if err := h.Validate(); err != nil { // or a later one may panic when it is compared
		d.fail("a histogram is invalid: " + err.Error())
	}
	*out = h
	return true
}

func (d *decoder) spans() []histogram.Span {
	n := d.length(2, "the number of a histogram's spans")
	if n == 0 {
		return nil
	}
	out := make([]histogram.Span, n)
	for i := range out {
		offset := d.varint()
		if offset > math.MaxInt32 || offset < math.MinInt32 || i > 0 && offset < 0 {
			d.fail("a histogram's span is out of its bounds")
		}
		out[i] = histogram.Span{Offset: int32(offset), Length: d.uint32("the length of a histogram's span")} //nolint:gosec // bounded
	}
	return out
}
