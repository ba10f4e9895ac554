package store

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// minRing is the number of samples a new ring has room for, and grows by at
// least.
const minRing = 4

var staleNaN = math.Float64frombits(value.StaleNaN)

// sample is one point of a series. hist is nil for floats; a staleness marker
// is always a float, whatever the series holds.
type sample struct {
	t    int64 // ms
	v    float64
	hist *histogram.FloatHistogram // never changed once stored
}

func (s sample) stale() bool { return s.hist == nil && value.IsStaleNaN(s.v) }

// ring holds samples in strictly ascending order of time, oldest first. It
// grows up to a cap; when full it gives up its oldest sample. Histograms stand
// in a parallel slice that only series with histograms pay for.
type ring struct {
	buf   []point
	hists *[]*histogram.FloatHistogram // nil, or as long as buf
	base  int64                        // what the points' times count from, ms
	n     int32
	head  int32 // position of the oldest sample
}

// point is a sample in 12 bytes, a quarter less than with a time of its own:
// the samples are most of what a series takes.
type point struct {
	dt     uint32 // ms after the ring's base; enough for 49 days
	hi, lo uint32 // the value's bits
}

func (r *ring) len() int { return int(r.n) }

func (r *ring) pos(i int) int {
	p := int(r.head) + i
	if p >= len(r.buf) {
		p -= len(r.buf)
	}
	return p
}

// time returns the time of the i-th sample, 0 being the oldest.
func (r *ring) time(i int) int64 { return r.base + int64(r.buf[r.pos(i)].dt) }

// at returns the i-th sample, 0 being the oldest.
func (r *ring) at(i int) sample {
	p := r.pos(i)
	pt := &r.buf[p]
	s := sample{t: r.base + int64(pt.dt), v: math.Float64frombits(uint64(pt.hi)<<32 | uint64(pt.lo))}
	if r.hists != nil {
		s.hist = (*r.hists)[p]
	}
	return s
}

// last returns the newest sample; the ring must not be empty.
func (r *ring) last() sample { return r.at(r.len() - 1) }

// lastValue returns the newest sample that is not a staleness marker.
func (r *ring) lastValue() (sample, bool) {
	for i := r.len() - 1; i >= 0; i-- {
		if s := r.at(i); !s.stale() {
			return s, true
		}
	}
	return sample{}, false
}

func (r *ring) set(i int, s sample) {
	p, bits := r.pos(i), math.Float64bits(s.v)
	r.buf[p] = point{dt: uint32(s.t - r.base), hi: uint32(bits >> 32), lo: uint32(bits)} //nolint:gosec // within the base's reach, see push and insert
	if r.hists == nil {
		if s.hist == nil {
			return
		}
		hists := make([]*histogram.FloatHistogram, len(r.buf))
		r.hists = &hists
	}
	(*r.hists)[p] = s.hist
}

// rebase moves the base so that it reaches t, with as much to come. Samples
// that are out of its reach then, 24 days old, are given up.
func (r *ring) rebase(t int64) {
	base := t - math.MaxUint32/2
	for r.n > 0 && r.time(0) < base {
		r.drop()
	}
	for i := range r.len() {
		pt := &r.buf[r.pos(i)]
		pt.dt = uint32(r.base + int64(pt.dt) - base) //nolint:gosec // between base and t
	}
	r.base = base
}

// push adds a sample newer than all the ring holds. Samples older than mint go
// first when room is needed. It reports whether a sample that was still within
// the retention had to go because the ring is at its cap.
func (r *ring) push(s sample, mint int64, limit int) (evicted bool) {
	if s.t-r.base > math.MaxUint32 {
		r.rebase(s.t)
	}
	if r.len() == len(r.buf) {
		for r.n > 0 && r.time(0) < mint {
			r.drop()
		}
		if r.len() == len(r.buf) {
			if len(r.buf) < limit {
				r.grow(limit)
			} else {
				r.drop()
				evicted = true
			}
		}
	}
	r.n++
	r.set(r.len()-1, s)
	return evicted
}

// insert puts a sample that is older than the newest one, but not older than
// mint, in its place. It reports false when a sample of the same time is there
// already, or when the ring is full and the sample older than all it holds.
func (r *ring) insert(s sample, mint int64, limit int) bool {
	i := r.search(s.t)
	if i < r.len() && r.time(i) == s.t || s.t < r.base {
		return false
	}
	newest := r.last()
	before := r.len()
	if r.len() == len(r.buf) && len(r.buf) >= limit && i == 0 && r.time(0) >= mint {
		return false
	}
	r.push(newest, mint, limit) // makes room; oldest samples may have gone
	i = max(i-(before+1-r.len()), 0)
	for j := r.len() - 1; j > i; j-- {
		r.set(j, r.at(j-1))
	}
	r.set(i, s)
	return true
}

// search returns the index of the first sample at or after t, or n.
func (r *ring) search(t int64) int {
	lo, hi := 0, r.len()
	for lo < hi {
		mid := (lo + hi) / 2
		if r.time(mid) < t {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func (r *ring) drop() {
	if r.hists != nil {
		(*r.hists)[r.head] = nil
	}
	r.head = int32(r.pos(1)) //nolint:gosec // a ring has at most a few thousand places
	r.n--
}

// grow adds half of what is there, in steps that fill the allocator's sizes:
// 4, 8, 12, 16, 24, 36.
func (r *ring) grow(limit int) {
	size := min(len(r.buf)+max(len(r.buf)/2, minRing)/minRing*minRing, limit)
	buf := make([]point, size)
	k := copy(buf, r.buf[r.head:])
	copy(buf[k:], r.buf[:r.head])
	if r.hists != nil {
		hists := make([]*histogram.FloatHistogram, size)
		k := copy(hists, (*r.hists)[r.head:])
		copy(hists[k:], (*r.hists)[:r.head])
		r.hists = &hists
	}
	r.buf, r.head = buf, 0
}
