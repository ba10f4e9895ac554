package store

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// minRing is the number of samples a new ring has room for. Most series are
// pushed every few seconds, so small rings double a few times and then stay.
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
// grows by doubling up to a cap; when full it gives up its oldest sample.
// Histograms stand in a parallel slice that only series with histograms pay for.
type ring struct {
	buf   []point
	hists []*histogram.FloatHistogram // nil, or as long as buf
	head  int                         // position of the oldest sample
	n     int
}

type point struct {
	t int64
	v float64
}

func (r *ring) pos(i int) int {
	p := r.head + i
	if p >= len(r.buf) {
		p -= len(r.buf)
	}
	return p
}

// at returns the i-th sample, 0 being the oldest.
func (r *ring) at(i int) sample {
	p := r.pos(i)
	s := sample{t: r.buf[p].t, v: r.buf[p].v}
	if r.hists != nil {
		s.hist = r.hists[p]
	}
	return s
}

// last returns the newest sample; the ring must not be empty.
func (r *ring) last() sample { return r.at(r.n - 1) }

// lastValue returns the newest sample that is not a staleness marker.
func (r *ring) lastValue() (sample, bool) {
	for i := r.n - 1; i >= 0; i-- {
		if s := r.at(i); !s.stale() {
			return s, true
		}
	}
	return sample{}, false
}

func (r *ring) set(i int, s sample) {
	p := r.pos(i)
	r.buf[p] = point{t: s.t, v: s.v}
	if r.hists == nil {
		if s.hist == nil {
			return
		}
		r.hists = make([]*histogram.FloatHistogram, len(r.buf))
	}
	r.hists[p] = s.hist
}

// push adds a sample newer than all the ring holds. Samples older than mint go
// first when room is needed. It reports whether a sample that was still within
// the retention had to go because the ring is at its cap.
func (r *ring) push(s sample, mint int64, limit int) (evicted bool) {
	if r.n == len(r.buf) {
		for r.n > 0 && r.at(0).t < mint {
			r.drop()
		}
		if r.n == len(r.buf) {
			if len(r.buf) < limit {
				r.grow(limit)
			} else {
				r.drop()
				evicted = true
			}
		}
	}
	r.n++
	r.set(r.n-1, s)
	return evicted
}

// insert puts a sample that is older than the newest one, but not older than
// mint, in its place. It reports false when a sample of the same time is there already or when the
// ring is full and the sample older than all it holds.
func (r *ring) insert(s sample, mint int64, limit int) bool {
	i := r.search(s.t)
	if i < r.n && r.at(i).t == s.t {
		return false
	}
	newest := r.last()
	before := r.n
	if r.n == len(r.buf) && len(r.buf) >= limit && i == 0 && r.at(0).t >= mint {
		return false
	}
	r.push(newest, mint, limit) // makes room; oldest samples may have gone
	i = max(i-(before+1-r.n), 0)
	for j := r.n - 1; j > i; j-- {
		r.set(j, r.at(j-1))
	}
	r.set(i, s)
	return true
}

// search returns the index of the first sample at or after t, or n.
func (r *ring) search(t int64) int {
	lo, hi := 0, r.n
	for lo < hi {
		mid := (lo + hi) / 2
		if r.buf[r.pos(mid)].t < t {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func (r *ring) drop() {
	if r.hists != nil {
		r.hists[r.head] = nil
	}
	r.head = r.pos(1)
	r.n--
}

func (r *ring) grow(limit int) {
	size := min(max(2*len(r.buf), minRing), limit)
	buf := make([]point, size)
	var hists []*histogram.FloatHistogram
	if r.hists != nil {
		hists = make([]*histogram.FloatHistogram, size)
	}
	for i := range r.n {
		p := r.pos(i)
		buf[i] = r.buf[p]
		if hists != nil {
			hists[i] = r.hists[p]
		}
	}
	r.buf, r.hists, r.head = buf, hists, 0
}
