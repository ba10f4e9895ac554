package store

import (
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// stripeCount is a power of two well above the number of cores that append at
// the same time.
const stripeCount = 64

// stripe is one part of the series: those whose hash, and those whose ref,
// fall into it.
type stripe struct {
	mu     sync.RWMutex // guards what follows, and Series.next
	byHash map[uint64]*Series
	byRef  map[storage.SeriesRef]*Series
	_      [24]byte // keeps two stripes' locks out of one cache line
}

type stripes [stripeCount]stripe

func (st *stripes) init() {
	for i := range st {
		st[i].byHash = map[uint64]*Series{}
		st[i].byRef = map[storage.SeriesRef]*Series{}
	}
}

func (st *stripes) get(hash uint64, lset labels.Labels) *Series {
	s := &st[hash%stripeCount]
	s.mu.RLock()
	defer s.mu.RUnlock()
	for ser := s.byHash[hash]; ser != nil; ser = ser.next {
		if labels.Equal(ser.lset, lset) {
			return ser
		}
	}
	return nil
}

func (st *stripes) ref(ref storage.SeriesRef) *Series {
	s := &st[uint64(ref)%stripeCount]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byRef[ref]
}

func (st *stripes) put(ser *Series) {
	h := &st[ser.hash%stripeCount]
	h.mu.Lock()
	ser.next = h.byHash[ser.hash]
	h.byHash[ser.hash] = ser
	h.mu.Unlock()

	r := &st[uint64(ser.ref)%stripeCount]
	r.mu.Lock()
	r.byRef[ser.ref] = ser
	r.mu.Unlock()
}

func (st *stripes) remove(ser *Series) {
	h := &st[ser.hash%stripeCount]
	h.mu.Lock()
	if first := h.byHash[ser.hash]; first == ser {
		if ser.next == nil {
			delete(h.byHash, ser.hash)
		} else {
			h.byHash[ser.hash] = ser.next
		}
	} else {
		for p := first; p != nil; p = p.next {
			if p.next == ser {
				p.next = ser.next
				break
			}
		}
	}
	h.mu.Unlock()

	r := &st[uint64(ser.ref)%stripeCount]
	r.mu.Lock()
	delete(r.byRef, ser.ref)
	r.mu.Unlock()
}

// snapshot appends the series of stripe i, by ref, to dst.
func (st *stripes) snapshot(i int, dst []*Series) []*Series {
	s := &st[i]
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, ser := range s.byRef {
		dst = append(dst, ser)
	}
	return dst
}
