package store

import (
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/labelindex"
)

// stripeCount is a power of two well above the number of cores that append at
// the same time.
const stripeCount = 64

// stripe is one part of the series, chosen by hash. If another series has the hash of a
// series already, that series is under the next number of the stripe that is free.
type stripe struct {
	mu     sync.RWMutex // guards what follows
	most   int          // series since the map was made
	series map[uint32]*Series
	_      [24]byte // makes two stripes' locks be in two cache lines
}

type stripes [stripeCount]stripe

// hashOf returns half of the labels' hash, which is enough: get compares the labels.
func hashOf(lset labels.Labels) uint32 { return uint32(lset.Hash()) } //nolint:gosec // see above

func (st *stripes) of(hash uint32) *stripe { return &st[hash%stripeCount] }

// get returns the series with these labels, or nil.
func (st *stripes) get(hash uint32, lset labels.Labels, x *labelindex.Index[Series]) *Series {
	s := st.of(hash)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for ; ; hash += stripeCount {
		if ser := s.series[hash]; ser == nil || x.Equal(ser.entry.Set, lset) {
			return ser
		}
	}
}

func (st *stripes) put(ser *Series) {
	s := st.of(ser.entry.Hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putLocked(ser)
}

func (s *stripe) putLocked(ser *Series) {
	if s.series == nil {
		s.series = map[uint32]*Series{}
	}
	at := ser.entry.Hash
	for s.series[at] != nil {
		at += stripeCount
	}
	s.series[at] = ser
	s.most = max(s.most, len(s.series))
}

func (st *stripes) remove(ser *Series) {
	at := ser.entry.Hash
	s := st.of(at)
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.series[at] != ser {
		at += stripeCount
	}
	delete(s.series, at)
	for at += stripeCount; s.series[at] != nil; at += stripeCount { // its own number may be free now
		next := s.series[at]
		delete(s.series, at)
		s.putLocked(next)
	}
	if 8*len(s.series) < s.most { // deletions do not make a map smaller
		smaller := make(map[uint32]*Series, len(s.series))
		maps.Copy(smaller, s.series)
		s.series, s.most = smaller, len(smaller)
	}
}

// snapshot appends the series of stripe i to dst.
func (st *stripes) snapshot(i int, dst []*Series) []*Series {
	s := &st[i]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.AppendSeq(dst, maps.Values(s.series))
}
