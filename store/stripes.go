package store

import (
	"sync"

	"github.com/prometheus/prometheus/model/labels"
)

// stripeCount is a power of two well above the number of cores that append at
// the same time.
const stripeCount = 64

// stripe is one part of the series: those whose hash falls into it.
type stripe struct {
	mu     sync.RWMutex // guards what follows, and Series.next
	byHash map[uint64]*Series
	_      [32]byte // keeps two stripes' locks out of one cache line
}

type stripes [stripeCount]stripe

func (st *stripes) init() {
	for i := range st {
		st[i].byHash = map[uint64]*Series{}
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

func (st *stripes) put(ser *Series, hash uint64) {
	s := &st[hash%stripeCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	ser.next = s.byHash[hash]
	s.byHash[hash] = ser
}

func (st *stripes) remove(ser *Series) {
	hash := ser.lset.Hash()
	s := &st[hash%stripeCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.byHash[hash]
	switch {
	case first == ser && ser.next == nil:
		delete(s.byHash, hash)
	case first == ser:
		s.byHash[hash] = ser.next
	default:
		for p := first; p != nil; p = p.next {
			if p.next == ser {
				p.next = ser.next
				return
			}
		}
	}
}

// snapshot appends the series of stripe i to dst.
func (st *stripes) snapshot(i int, dst []*Series) []*Series {
	s := &st[i]
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, ser := range s.byHash {
		for ; ser != nil; ser = ser.next {
			dst = append(dst, ser)
		}
	}
	return dst
}
