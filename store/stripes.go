package store

import (
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/labelindex"
)

// stripeCount is a power of two well above the number of cores that append at
// the same time.
const stripeCount = 64

// stripe is one part of the series, chosen by hash.
//
// It is a hash table with open addressing, which takes half as much as a map because
// the series contains its hash anyway. A series is in the first slot, from its own on,
// that was free; there is always a free one.
type stripe struct {
	mu    sync.RWMutex // guards what follows
	slots []*Series    // a power of two of them
	count int
	_     [8]byte // keeps two stripes' locks out of one cache line
}

type stripes [stripeCount]stripe

// minSlots is the size of the smallest table.
const minSlots = 8

// hashOf returns half of the labels' hash, which is enough: get compares the labels.
func hashOf(lset labels.Labels) uint32 { return uint32(lset.Hash()) } //nolint:gosec // see above

func (st *stripes) of(hash uint32) *stripe { return &st[hash%stripeCount] }

// get returns the series with these labels, or nil.
func (st *stripes) get(hash uint32, lset labels.Labels, x *labelindex.Index[Series]) *Series {
	s := st.of(hash)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.count == 0 {
		return nil
	}
	for i := s.slot(hash); s.slots[i] != nil; i = s.after(i) {
		if ser := s.slots[i]; ser.entry.Hash == hash && x.Equal(ser.entry.Set, lset) {
			return ser
		}
	}
	return nil
}

func (st *stripes) put(ser *Series) {
	s := st.of(ser.entry.Hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count++; 4*s.count > 3*len(s.slots) {
		s.resizeLocked(max(minSlots, 2*len(s.slots)))
	}
	s.placeLocked(ser)
}

func (st *stripes) remove(ser *Series) {
	s := st.of(ser.entry.Hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	hole := s.slot(ser.entry.Hash)
	for s.slots[hole] != ser {
		hole = s.after(hole)
	}
	// Series behind it, up to the next free slot, may belong before the hole.
	for i := s.after(hole); s.slots[i] != nil; i = s.after(i) {
		mask := uint32(len(s.slots) - 1) //nolint:gosec // fewer than series
		if home := s.slot(s.slots[i].entry.Hash); (i-home)&mask >= (i-hole)&mask {
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
	i := s.slot(ser.entry.Hash)
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
