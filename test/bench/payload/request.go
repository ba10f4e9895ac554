package payload

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Request is an encoded ExportMetricsServiceRequest. One goroutine at a time
// patches and sends it.
type Request struct {
	encoded []byte
	points  []point
}

// point is where the two things that change stand.
type point struct{ time, value int }

// The fields on the way from a request to a point's time and value, as the
// protocol numbers them: resource_metrics, scope_metrics, metrics, gauge,
// data_points.
var pathToPoint = []protowire.Number{1, 2, 2, 5, 1}

const (
	timeField  protowire.Number = 3
	valueField protowire.Number = 4
)

var errNoPoints = errors.New("the encoded request does not hold the points that were put in")

func newRequest(encoded []byte, points int) (*Request, error) {
	r := &Request{encoded: encoded, points: make([]point, 0, points)}
	if err := r.find(0, len(encoded), pathToPoint); err != nil {
		return nil, err
	}
	if len(r.points) != points {
		return nil, fmt.Errorf("%w: %d of %d found", errNoPoints, len(r.points), points)
	}
	return r, nil
}

// find goes down path in the message that lies in [from, to).
func (r *Request) find(from, to int, path []protowire.Number) error {
	if len(path) == 0 {
		return r.locate(from, to)
	}
	return r.fields(from, to, func(number protowire.Number, kind protowire.Type, at, end int) error {
		if number != path[0] || kind != protowire.BytesType {
			return nil
		}
		content, _ := protowire.ConsumeBytes(r.encoded[at:end])
		return r.find(end-len(content), end, path[1:])
	})
}

// locate notes the point that lies in [from, to).
func (r *Request) locate(from, to int) error {
	var p point
	err := r.fields(from, to, func(number protowire.Number, kind protowire.Type, at, _ int) error {
		switch {
		case kind != protowire.Fixed64Type:
		case number == timeField:
			p.time = at
		case number == valueField:
			p.value = at
		}
		return nil
	})
	if err != nil {
		return err
	}
	if p.time == 0 || p.value == 0 {
		return fmt.Errorf("%w: one has no time or no double value", errNoPoints)
	}
	r.points = append(r.points, p)
	return nil
}

// fields calls f with where the value of each field begins and ends.
func (r *Request) fields(from, to int, f func(number protowire.Number, kind protowire.Type, at, end int) error) error {
	for from < to {
		number, kind, tag := protowire.ConsumeTag(r.encoded[from:to])
		if tag < 0 {
			return protowire.ParseError(tag)
		}
		size := protowire.ConsumeFieldValue(number, kind, r.encoded[from+tag:to])
		if size < 0 {
			return protowire.ParseError(size)
		}
		if err := f(number, kind, from+tag, from+tag+size); err != nil {
			return err
		}
		from += tag + size
	}
	return nil
}

// Patch gives all points a time, in nanoseconds since 1970, and a value.
func (r *Request) Patch(unixNano int64, value float64) {
	bits := math.Float64bits(value)
	for _, p := range r.points {
		binary.LittleEndian.PutUint64(r.encoded[p.time:], uint64(unixNano))
		binary.LittleEndian.PutUint64(r.encoded[p.value:], bits)
	}
}

// Bytes returns the request as it goes on the wire. It changes with Patch.
func (r *Request) Bytes() []byte { return r.encoded }

// Points returns how many data points the request holds.
func (r *Request) Points() int { return len(r.points) }

// Points returns how many data points the requests hold together.
func Points(requests []*Request) int {
	total := 0
	for _, r := range requests {
		total += r.Points()
	}
	return total
}
