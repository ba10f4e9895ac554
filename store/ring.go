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
//
// The samples are most of what a series takes, so each has as few 32-bit words
// as will do: its time in ms after the ring's base, which is enough for 49 days,
// and its value as a float32 if all values the ring has seen are the same in
// either precision, which those of counts are up to sixteen million. The first
// one that isn't makes all samples a word wider.
type ring struct {
	words []uint32
	hists *[]*histogram.FloatHistogram // nil, or as many as there is room for
	base  int64                        // ms
	count uint32                       // samples; the top bit says that they are wide
	head  int32                        // where in words the oldest sample begins
}

const wideBit = 1 << 31

// staleNarrow stands for a staleness marker where values are float32: one of
// the NaNs, of which there are no others then.
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

func (r *ring) len() int { return int(r.count &^ wideBit) }

func (r *ring) isWide() bool { return r.count >= wideBit }

// stride is how many words a sample takes.
func (r *ring) stride() int { return 2 + int(r.count>>31) }

// room is how many samples there is room for.
func (r *ring) room() int { return len(r.words) / r.stride() }

func (r *ring) full() bool { return r.len()*r.stride() == len(r.words) }

// pos returns where the i-th sample begins.
func (r *ring) pos(i int) int {
	p := int(r.head) + i*r.stride()
	if p >= len(r.words) {
		p -= len(r.words)
	}
	return p
}

// time returns the time of the i-th sample, 0 being the oldest.
func (r *ring) time(i int) int64 { return r.base + int64(r.words[r.pos(i)]) }

// at returns the i-th sample, 0 being the oldest.
func (r *ring) at(i int) sample {
	p := r.pos(i)
	w := r.words[p:]
	s := sample{t: r.base + int64(w[0])}
	switch {
	case r.isWide():
		s.v = math.Float64frombits(uint64(w[1])<<32 | uint64(w[2]))
	case w[1] == staleNarrow:
		s.v = staleNaN
	default:
		s.v = float64(math.Float32frombits(w[1]))
	}
	if r.hists != nil {
		s.hist = (*r.hists)[p/r.stride()]
	}
	return s
}

// raw returns a sample's time, and its value's bits as they stand in the ring.
func (r *ring) raw(i int) (t int64, word uint64) {
	w := r.words[r.pos(i):]
	t = r.base + int64(w[0])
	if r.isWide() {
		return t, uint64(w[1])<<32 | uint64(w[2])
	}
	return t, uint64(w[1])
}

// setRaw is the reverse.
func (r *ring) setRaw(i int, t int64, word uint64) {
	w := r.words[r.pos(i):]
	w[0] = uint32(t - r.base) //nolint:gosec // the caller has looked
	if r.isWide() {
		w[1], w[2] = uint32(word>>32), uint32(word) //nolint:gosec // its halves
	} else {
		w[1] = uint32(word) //nolint:gosec // its only half
	}
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
	word, ok := narrow(s.v)
	if !ok && !r.isWide() {
		r.widen()
	}
	p := r.pos(i)
	w := r.words[p:]
	w[0] = uint32(s.t - r.base) //nolint:gosec // within the base's reach, see push and insert
	if r.isWide() {
		bits := math.Float64bits(s.v)
		w[1], w[2] = uint32(bits>>32), uint32(bits) //nolint:gosec // its halves
	} else {
		w[1] = word
	}
	if r.hists == nil {
		if s.hist == nil {
			return
		}
		hists := make([]*histogram.FloatHistogram, r.room())
		r.hists = &hists
	}
	(*r.hists)[p/r.stride()] = s.hist
}

// widen makes room for values in full.
func (r *ring) widen() {
	words := make([]uint32, 0, r.room()*3)
	for p := 0; p < len(r.words); p += 2 {
		v := staleNaN
		if w := r.words[p+1]; w != staleNarrow {
			v = float64(math.Float32frombits(w))
		}
		bits := math.Float64bits(v)
		words = append(words, r.words[p], uint32(bits>>32), uint32(bits)) //nolint:gosec // its halves
	}
	r.words, r.head, r.count = words, r.head/2*3, r.count|wideBit
}

// rebase moves the base so that it reaches t, with as much to come. Samples
// that are out of its reach then, 24 days old, are given up.
func (r *ring) rebase(t int64) {
	base := t - math.MaxUint32/2
	for r.len() > 0 && r.time(0) < base {
		r.drop()
	}
	for i := range r.len() {
		w := &r.words[r.pos(i)]
		*w = uint32(r.base + int64(*w) - base) //nolint:gosec // between base and t
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
	if r.full() {
		for r.len() > 0 && r.time(0) < mint {
			r.drop()
		}
		if r.full() {
			if r.len() < limit {
				r.grow(limit)
			} else {
				r.drop()
				evicted = true
			}
		}
	}
	r.count++
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
	if r.full() && before >= limit && i == 0 && r.time(0) >= mint {
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
		(*r.hists)[int(r.head)/r.stride()] = nil
	}
	r.head = int32(r.pos(1)) //nolint:gosec // far fewer words than that
	r.count--
}

// more is the room that comes after room: half as much again, in steps that fill
// the allocator's sizes: 4, 8, 12, 16, 24, 36.
func more(room, limit int) int { return min(room+max(room/2, minRing)/minRing*minRing, limit) }

// reserve gives an empty ring the room that it would have grown to for n samples.
func (r *ring) reserve(n, limit int) {
	room := 0
	for room < n {
		room = more(room, limit)
	}
	r.words = make([]uint32, room*r.stride())
}

func (r *ring) grow(limit int) {
	size := more(r.room(), limit)
	words := make([]uint32, size*r.stride())
	k := copy(words, r.words[r.head:])
	copy(words[k:], r.words[:r.head])
	if r.hists != nil {
		hists := make([]*histogram.FloatHistogram, size)
		first := int(r.head) / r.stride()
		k := copy(hists, (*r.hists)[first:])
		copy(hists[k:], (*r.hists)[:first])
		r.hists = &hists
	}
	r.words, r.head = words, 0
}
