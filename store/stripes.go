package store

import (
	"sync"

	"github.com/prometheus/prometheus/model/labels"
)

// stripeCount is a power of two well above the number of cores that append at
// the same time.
const stripeCount = 64

// stripe is one part of the series: those whose hash falls into it.
//
// It is a table of open addressing, since the hash stands in the series anyway:
// half of what a map takes. A series stands at the first free slot from its own
// on, and there is always a free one.
type stripe struct {
	mu    sync.RWMutex // guards what follows
	slots []*Series    // a power of two of them
	count int
	_     [8]byte // keeps two stripes' locks out of one cache line
}

type stripes [stripeCount]stripe

// minSlots is the size of the smallest table.
const minSlots = 8

// hashOf is what a series' place goes by. Half of a hash is enough: there are
// labels to tell apart those that share one.
func hashOf(lset labels.Labels) uint32 { return uint32(lset.Hash()) } //nolint:gosec // see above

func (st *stripes) of(hash uint32) *stripe { return &st[hash%stripeCount] }

// get returns the series with these labels, or nil.
func (st *stripes) get(hash uint32, lset labels.Labels, x *index) *Series {
	s := st.of(hash)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.count == 0 {
		return nil
	}
	for i := s.slot(hash); s.slots[i] != nil; i = s.after(i) {
		if ser := s.slots[i]; ser.hash == hash && x.equal(ser.set, lset) {
			return ser
		}
	}
	return nil
}

func (st *stripes) put(ser *Series) {
	s := st.of(ser.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count++; 4*s.count > 3*len(s.slots) {
		s.resizeLocked(max(minSlots, 2*len(s.slots)))
	}
	s.placeLocked(ser)
}

func (st *stripes) remove(ser *Series) {
	s := st.of(ser.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	hole := s.slot(ser.hash)
	for s.slots[hole] != ser {
		hole = s.after(hole)
	}
	// What stands behind it up to the next free slot may belong before the hole.
	for i := s.after(hole); s.slots[i] != nil; i = s.after(i) {
		mask := uint32(len(s.slots) - 1) //nolint:gosec // fewer than series
		if home := s.slot(s.slots[i].hash); (i-home)&mask >= (i-hole)&mask {
			s.slots[hole], hole = s.slots[i], i
		}
	}
	s.slots[hole] = nil
	if s.count--; 8*s.count < len(s.slots) && len(s.slots) > minSlots {
		s.resizeLocked(len(s.slots) / 2)
	}
}

func (s *stripe) slot(hash uint32) uint32 {
	return hash / stripeCount & uint32(len(s.slots)-1) //nolint:gosec // fewer than series
}

func (s *stripe) after(i uint32) uint32 { return (i + 1) & uint32(len(s.slots)-1) } //nolint:gosec // fewer than series

func (s *stripe) placeLocked(ser *Series) {
	i := s.slot(ser.hash)
	for s.slots[i] != nil {
		i = s.after(i)
	}
	s.slots[i] = ser
}

func (s *stripe) resizeLocked(size int) {
	before := s.slots
	s.slots = make([]*Series, size)
	for _, ser := range before {
		if ser != nil {
			s.placeLocked(ser)
		}
	}
}

// snapshot appends the series of stripe i to dst.
func (st *stripes) snapshot(i int, dst []*Series) []*Series {
	s := &st[i]
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, ser := range s.slots {
		if ser != nil {
			dst = append(dst, ser)
		}
	}
	return dst
}
