// Package ring stores the samples of one series: a bounded ring, ordered by time. It
// does not lock; its owner does.
package ring

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// minRing is the number of samples a new ring has room for, and grows by at
// least.
const minRing = 4

// StaleNaN is the value of a staleness marker.
var StaleNaN = math.Float64frombits(value.StaleNaN)

// Sample is one point of a series. Hist is nil for floats; a staleness marker
// is always a float, whatever the other samples are.
type Sample struct {
	T    int64 // ms
	V    float64
	Hist *histogram.FloatHistogram // never changed once stored
}

// Stale reports whether the sample is a staleness marker.
func (s Sample) Stale() bool { return s.Hist == nil && value.IsStaleNaN(s.V) }

// Ring stores samples in strictly ascending order of time, oldest first. It grows
// up to a limit; a full ring drops its oldest sample. Histograms are in a parallel
// slice, which only series with histograms allocate.
//
// Samples take most of a series' memory, so each uses as few 32-bit words as
// possible: its time in ms after the ring's base, which reaches 49 days, and its
// value as a float32 while every value is exact as a float32 (counts up to 16
// million are). The first value that is not makes all samples one word wider.
type Ring struct {
	words []uint32
	hists *[]*histogram.FloatHistogram // nil, or one per sample there is room for
	base  int64                        // ms
	count uint32                       // samples; the top bit is set if they are wide
	head  int32                        // index in words at which the oldest sample begins
}

const wideBit = 1 << 31

// staleNarrow represents a staleness marker among float32 values. It is a NaN, and
// narrow rejects all other NaNs.
const staleNarrow = 0x7fc00002

// narrow returns a value as a word, if that loses nothing.
func narrow(v float64) (word uint32, ok bool) {
	bits := math.Float64bits(v)
	if bits == value.StaleNaN {
		return staleNarrow, true
	}
	f := float32(v)
	return math.Float32bits(f), math.Float64bits(float64(f)) == bits && f == f //nolint:gocritic // false for a NaN
}

// Len returns the number of samples.
func (r *Ring) Len() int { return int(r.count &^ wideBit) }

// Wide reports whether values are stored as float64.
func (r *Ring) Wide() bool { return r.count >= wideBit }

// stride is how many words a sample takes.
func (r *Ring) stride() int { return 2 + int(r.count>>31) }

// room is how many samples fit into words.
func (r *Ring) room() int { return len(r.words) / r.stride() }

func (r *Ring) full() bool { return r.Len()*r.stride() == len(r.words) }

// pos returns where the i-th sample begins.
func (r *Ring) pos(i int) int {
	p := int(r.head) + i*r.stride()
	if p >= len(r.words) {
		p -= len(r.words)
	}
	return p
}

// Time returns the time of the i-th sample, 0 being the oldest.
func (r *Ring) Time(i int) int64 { return r.base + int64(r.words[r.pos(i)]) }

// At returns the i-th sample, 0 being the oldest.
func (r *Ring) At(i int) Sample {
	p := r.pos(i)
	w := r.words[p:]
	s := Sample{T: r.base + int64(w[0])}
	switch {
	case r.Wide():
		s.V = math.Float64frombits(uint64(w[1])<<32 | uint64(w[2]))
	case w[1] == staleNarrow:
		s.V = StaleNaN
	default:
		s.V = float64(math.Float32frombits(w[1]))
	}
	if r.hists != nil {
		s.Hist = (*r.hists)[p/r.stride()]
	}
	return s
}

// New returns an empty ring with room for n samples, as much as it would have grown to.
func New(n, limit int) Ring {
	room := 0
	for room < n {
		room = more(room, limit)
	}
	return Ring{words: make([]uint32, 2*room)}
}

// Shift adds d ms to the time of every sample.
func (r *Ring) Shift(d int64) { r.base += d }

// Last returns the newest sample; the ring must not be empty.
func (r *Ring) Last() Sample { return r.At(r.Len() - 1) }

// LastValue returns the newest sample that is not a staleness marker.
func (r *Ring) LastValue() (Sample, bool) {
	for i := r.Len() - 1; i >= 0; i-- {
		if s := r.At(i); !s.Stale() {
			return s, true
		}
	}
	return Sample{}, false
}

// Set replaces the i-th sample; its time must keep the order.
func (r *Ring) Set(i int, s Sample) {
	word, ok := narrow(s.V)
	if !ok && !r.Wide() {
		r.move(r.room(), wideBit) // all values are float64 from now on
	}
	p := r.pos(i)
	w := r.words[p:]
	w[0] = uint32(s.T - r.base) //nolint:gosec // within the base's reach, see Push and Insert
	if r.Wide() {
		bits := math.Float64bits(s.V)
		w[1], w[2] = uint32(bits>>32), uint32(bits) //nolint:gosec // its halves
	} else {
		w[1] = word
	}
	r.setHist(p, s.Hist)
}

// setHist stores the histogram of the sample at p, or nil.
func (r *Ring) setHist(p int, h *histogram.FloatHistogram) {
	if r.hists == nil {
		if h == nil {
			return
		}
		hists := make([]*histogram.FloatHistogram, r.room())
		r.hists = &hists
	}
	(*r.hists)[p/r.stride()] = h
}

// move moves the samples to new memory with room for so many, which is wide if the
// bit is set.
func (r *Ring) move(room int, wide uint32) {
	before := *r
	*r = Ring{base: before.base, count: before.count | wide}
	r.words = make([]uint32, room*r.stride())
	for i := range r.Len() {
		r.Set(i, before.At(i))
	}
}

// rebase moves the base so that t is in the middle of its reach. It drops samples
// that are out of reach then: they are 24 days old.
func (r *Ring) rebase(t int64) {
	base := t - math.MaxUint32/2
	for r.Len() > 0 && r.Time(0) < base {
		r.drop()
	}
	for i := range r.Len() {
		w := &r.words[r.pos(i)]
		*w = uint32(r.base + int64(*w) - base) //nolint:gosec // between base and t
	}
	r.base = base
}

// Push adds a sample newer than all others. If it needs room, it drops samples older
// than mint first. It reports whether it dropped a newer one because the ring is at
// its limit.
func (r *Ring) Push(s Sample, mint int64, limit int) (evicted bool) {
	if s.T-r.base > math.MaxUint32 {
		r.rebase(s.T)
	}
	if r.full() {
		for r.Len() > 0 && r.Time(0) < mint {
			r.drop()
		}
		if r.full() {
			if r.Len() < limit {
				r.move(more(r.room(), limit), 0)
			} else {
				r.drop()
				evicted = true
			}
		}
	}
	r.count++
	r.Set(r.Len()-1, s)
	return evicted
}

// Insert adds a sample that is older than the newest one, but not older than mint.
// It returns false if a sample has the same time, or if the ring is full and all
// its samples are newer.
func (r *Ring) Insert(s Sample, mint int64, limit int) bool {
	i := r.Search(s.T)
	if i < r.Len() && r.Time(i) == s.T || s.T < r.base {
		return false
	}
	newest := r.Last()
	before := r.Len()
	if r.full() && before >= limit && i == 0 && r.Time(0) >= mint {
		return false
	}
	r.Push(newest, mint, limit) // makes room, and may drop the oldest samples
	i = max(i-(before+1-r.Len()), 0)
	for j := r.Len() - 1; j > i; j-- {
		r.Set(j, r.At(j-1))
	}
	r.Set(i, s)
	return true
}

// Search returns the index of the first sample at or after t, or Len.
func (r *Ring) Search(t int64) int {
	lo, hi := 0, r.Len()
	for lo < hi {
		mid := (lo + hi) / 2
		if r.Time(mid) < t {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func (r *Ring) drop() {
	if r.hists != nil {
		(*r.hists)[int(r.head)/r.stride()] = nil
	}
	r.head = int32(r.pos(1)) //nolint:gosec // far fewer words than that
	r.count--
}

// more is the next larger room: half as much again, in steps that match the
// allocator's size classes: 4, 8, 12, 16, 24, 36.
func more(room, limit int) int { return min(room+max(room/2, minRing)/minRing*minRing, limit) }
