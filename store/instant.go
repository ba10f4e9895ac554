package store

import (
	"errors"

	"github.com/prometheus/prometheus/model/value"
)

// ErrHistogram says that a sample is a native histogram, which an Instant does not read.
var ErrHistogram = errors.New("sample is a native histogram")

// Point is a float sample.
type Point struct {
	T int64 // ms
	F float64
}

// Instant is a selection's series as a view shows them, in the order in which a Querier
// returns them. It returns what the engine reads through a Querier, without a copy of
// the samples. It is not safe for concurrent use.
type Instant struct {
	s        *Store
	series   []*Series
	View     *View
	lookback int64
}

// Len returns the number of series.
func (in *Instant) Len() int { return len(in.series) }

// Has reports whether the i-th series has a label of that name.
func (in *Instant) Has(i int, name string) bool {
	return in.s.index.Label(in.series[i], name) != ""
}

// Last returns the value of the i-th series; ok is false if the view does not show it
// as live.
func (in *Instant) Last(i int) (v float64, ok bool, err error) {
	ser := in.series[i]
	ser.mu.Lock()
	defer ser.mu.Unlock()
	f := in.View.frameLocked(ser, in.lookback)
	if !f.live {
		return 0, false, nil
	}
	last := ser.ring.At(f.n - 1)
	if last.Hist != nil {
		return 0, false, ErrHistogram
	}
	return last.V, true, nil
}

// Range appends the samples of the i-th series in the window (ms) that ends at the
// moment, its start excluded, to dst. Staleness markers are left out. If the reader
// does not accumulate, a series that is not live has no samples.
func (in *Instant) Range(i int, window int64, accumulates bool, dst []Point) ([]Point, error) {
	ser := in.series[i]
	ser.mu.Lock()
	defer ser.mu.Unlock()
	f := in.View.frameLocked(ser, in.lookback)
	if !f.live && !accumulates {
		return dst, nil
	}
	for j := ser.ring.Search(in.View.At - window + 1 - f.shift); j < f.n; j++ {
		s := ser.ring.At(j)
		switch {
		case s.Hist != nil:
			return dst, ErrHistogram
		case !value.IsStaleNaN(s.V):
			dst = append(dst, Point{s.T + f.shift, s.V})
		}
	}
	return dst, nil
}

// Any reports whether the view shows any series with a value; with samples, if a
// reader accumulates.
func (in *Instant) Any(accumulates bool) bool {
	for _, ser := range in.series {
		ser.mu.Lock()
		f := in.View.frameLocked(ser, in.lookback)
		ser.mu.Unlock()
		if f.live || accumulates && f.n > 0 {
			return true
		}
	}
	return false
}
