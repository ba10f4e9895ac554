package otlpreceiver

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"google.golang.org/protobuf/encoding/protowire"
)

// oddities writes OTLP requests at the level of the wire, as a program of bytes
// says: each byte is one choice, and a program that has ended chooses 0, which
// is always what senders do every day.
type oddities struct {
	program []byte
	now     time.Time
	// vary, unless nil, says how to put the same together in another order, with
	// attributes more like those of the point before.
	vary *rand.Rand
	last [][]byte // attributes
}

// shuffle changes the order of a sender's repeated fields.
func (o *oddities) shuffle(fields [][]byte) {
	if o.vary != nil {
		o.vary.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	}
}

// alike returns attributes that have much of those before, or are the same.
func (o *oddities) alike(own [][]byte) [][]byte {
	if o.vary == nil {
		return own
	}
	switch last := slices.Clone(o.last); o.vary.IntN(5) {
	case 0:
		own = last
	case 1:
		own = append(last, own...)
	case 2:
		own = last[:len(last)/2]
	}
	o.last = own
	return own
}

func (o *oddities) choose(n int) int {
	if len(o.program) == 0 {
		return 0
	}
	c := int(o.program[0]) % n
	o.program = o.program[1:]
	return c
}

func pick[T any](o *oddities, from ...T) T { return from[o.choose(len(from))] }

func lengthDelimited(num protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
}

func fixed(num protowire.Number, v uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, num, protowire.Fixed64Type), v)
}

func varint(num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
}

// message puts fields together, and once in a while does something to them.
func (o *oddities) message(fields ...[]byte) []byte {
	fields = slices.DeleteFunc(fields, func(f []byte) bool { return f == nil })
	switch o.choose(40) {
	case 30:
		slices.Reverse(fields)
	case 31:
		fields = append(fields, varint(200, 1<<63))
	case 32:
		fields = append(fields, lengthDelimited(77, []byte("unknown")))
	case 33: // a group
		fields = append(fields, slices.Concat(protowire.AppendTag(nil, 99, protowire.StartGroupType), varint(1, 1), protowire.AppendTag(nil, 99, protowire.EndGroupType)))
	case 34: // the end of none
		fields = append(fields, protowire.AppendTag(nil, 99, protowire.EndGroupType))
	case 35:
		if len(fields) > 0 {
			fields = append(fields, fields[o.choose(len(fields))])
		}
	case 36:
		if len(fields) > 0 {
			fields = slices.Delete(fields, 0, 1)
		}
	case 37: // a tag longer than it need be
		fields = append(fields, []byte{0x99, 0x00, 1, 2, 3, 4, 5, 6, 7, 8})
	case 38: // cut short
		if b := slices.Concat(fields...); len(b) > 0 {
			return b[:len(b)-1]
		}
	case 39: // another wire type
		fields = append(fields, varint(protowire.Number(1+o.choose(9)), uint64(o.choose(4))))
	}
	return slices.Concat(fields...)
}

func (o *oddities) request() []byte {
	var resources [][]byte
	for range 1 + o.choose(3) {
		resources = append(resources, lengthDelimited(1, o.resourceMetrics()))
	}
	o.shuffle(resources)
	return append(slices.Concat(resources...), o.message()...)
}

func (o *oddities) resourceMetrics() []byte {
	return o.message(
		pick(o, lengthDelimited(1, o.message(o.attributes(1)...)), nil, slices.Concat(
			lengthDelimited(1, o.message(o.attributes(1)...)), lengthDelimited(1, o.message(o.attributes(1)...)))),
		lengthDelimited(2, o.scopeMetrics()),
		pick(o, nil, lengthDelimited(3, []byte("https://schema")), lengthDelimited(1000, o.scopeMetrics()), lengthDelimited(2, o.scopeMetrics())))
}

func (o *oddities) scopeMetrics() []byte {
	fields := [][]byte{lengthDelimited(1, o.message(append(o.attributes(3), lengthDelimited(1, []byte("scope")), pick(o, nil, varint(4, 3)))...))}
	for range 1 + o.choose(4) {
		fields = append(fields, lengthDelimited(2, o.metric()))
	}
	o.shuffle(fields[1:])
	return o.message(fields...)
}

func (o *oddities) metric() []byte {
	metadata := o.attributes(12)
	fields := append([][]byte{
		lengthDelimited(1, []byte(pick(o, "m", "n", "h", "a.b", "a_b", "", "\xff", "1x", "..", "__name__"))),
		lengthDelimited(2, []byte("what it is")),
		pick(o, o.data(), nil, slices.Concat(o.data(), o.data())),
	}, metadata...)
	return o.message(fields...)
}

func (o *oddities) data() []byte {
	kind := pick(o, protowire.Number(5), 7, 9, 7, 9, 10, 11)
	var fields [][]byte
	for range pick(o, 1, 2, 3, 0) {
		fields = append(fields, lengthDelimited(1, o.point(kind)))
	}
	o.shuffle(fields)
	if kind == 7 || kind == 9 || kind == 10 {
		fields = append(fields, varint(2, pick(o, uint64(2), 1, 2, 1, 0, 3, 1<<32+1)))
	}
	if kind == 7 {
		fields = append(fields, pick(o, varint(3, 1), varint(3, 0), nil, varint(3, 1<<63)))
	}
	return lengthDelimited(kind, o.message(fields...))
}

func (o *oddities) point(kind protowire.Number) []byte {
	at := pick(o, 0, -time.Second, 0, time.Second, -2*time.Second, time.Minute, -time.Hour, 1<<62)
	stamp := uint64(o.now.Add(at).UnixNano())
	fields := [][]byte{o.start(stamp), pick(o, fixed(3, stamp), fixed(3, 0), nil)}
	number := math.Float64bits(pick(o, 1, 2, 0, -3, 1e300, math.Inf(1), math.NaN(), math.Float64frombits(value.StaleNaN)))
	flags := pick(o, nil, varint(8, 0), varint(8, 1), varint(8, 2), varint(8, 1<<35+1))
	switch kind {
	case 5, 7:
		fields = append(fields, pick(o, fixed(4, number), fixed(6, number), nil, slices.Concat(fixed(4, number), fixed(6, 7))), flags)
		fields = append(fields, o.alike(o.attributes(7))...)
		fields = append(fields, pick(o, nil, lengthDelimited(5, o.message(fixed(3, 1), lengthDelimited(4, make([]byte, pick(o, 8, 0, 3)))))))
	case 9:
		if flags != nil {
			flags = varint(10, uint64(o.choose(3)))
		}
		bounds := pick(o, []float64{1, 2}, []float64{1, 2}, []float64{1}, nil, []float64{2, 1}, []float64{1, math.Inf(1)}, []float64{math.NaN()})
		var packed, counts []byte
		for _, b := range bounds {
			packed = binary.LittleEndian.AppendUint64(packed, math.Float64bits(b))
		}
		for range len(bounds) + pick(o, 1, 1, 1, 0, 2) {
			counts = binary.LittleEndian.AppendUint64(counts, pick(o, uint64(1), 2, 3, 1<<63))
		}
		fields = append(fields, fixed(4, uint64(o.choose(20))), pick(o, fixed(5, number), nil), flags,
			pick(o, lengthDelimited(6, counts), nil, fixed(6, 1), lengthDelimited(6, append(counts, 1))),
			pick(o, lengthDelimited(7, packed), nil, slices.Concat(lengthDelimited(7, packed), lengthDelimited(7, packed))),
			pick(o, nil, fixed(11, 1), fixed(12, 1)))
		fields = append(fields, o.alike(o.attributes(9))...)
	case 10:
		fields = append(fields, fixed(4, 3), fixed(5, number), fixed(7, 1), lengthDelimited(8, lengthDelimited(2, []byte{2})))
		fields = append(fields, o.attributes(1)...)
	default:
		fields = append(fields, fixed(4, 3), fixed(5, number), lengthDelimited(6, o.message(fixed(1, number), fixed(2, number))))
		fields = append(fields, o.attributes(7)...)
	}
	return o.message(fields...)
}

// start is the field of a start time: mostly one that means nothing.
func (o *oddities) start(stamp uint64) []byte {
	return pick(o, fixed(2, 1), fixed(2, stamp), nil, fixed(2, stamp-2e9), fixed(2, stamp+1), fixed(2, stamp-1), fixed(2, uint64(start.UnixNano())), fixed(2, 1<<63))
}

// attributes are fields of that number.
func (o *oddities) attributes(num protowire.Number) (out [][]byte) {
	for range pick(o, 2, 0, 1, 3) {
		key := pick(o, "pod", "a.b", "a_b", "le", "namespace", "quantile", "__name__", "service.name", "", "\xffx", "...")
		v := lengthDelimited(1, []byte(pick(o, "x", "y", "", "\xff", "1.0")))
		v = pick(o, v, v, varint(2, 1), varint(3, 42), fixed(4, math.Float64bits(0.5)), nil,
			lengthDelimited(5, lengthDelimited(1, v)), lengthDelimited(6, lengthDelimited(1, v)), lengthDelimited(7, v))
		out = append(out, lengthDelimited(num, o.message(lengthDelimited(1, []byte(key)), lengthDelimited(2, o.message(v)))))
	}
	return out
}
