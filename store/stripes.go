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

// stripe is one part of the series, chosen by hash.
type stripe struct {
	mu     sync.RWMutex // guards what follows
	most   int          // series since the map was made
	series map[uint32]*Series
	more   map[uint32][]*Series // those whose hash one in series has; there are few
	_      [16]byte             // makes two stripes' locks be in two cache lines
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
	ser := s.series[hash]
	if ser == nil || x.Equal(ser.entry.Set, lset) {
		return ser
	}
	for _, ser := range s.more[hash] {
		if x.Equal(ser.entry.Set, lset) {
			return ser
		}
	}
	return nil
}

func (st *stripes) put(ser *Series) {
	hash := ser.entry.Hash
	s := st.of(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.series[hash] != nil:
		s.more[hash] = append(s.more[hash], ser)
	case s.series == nil:
		s.series, s.more = map[uint32]*Series{}, map[uint32][]*Series{}
		fallthrough
	default:
		s.series[hash] = ser
	}
	s.most = max(s.most, len(s.series))
}

func (st *stripes) remove(ser *Series) {
	hash := ser.entry.Hash
	s := st.of(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if same := s.more[hash]; len(same) == 0 {
		delete(s.series, hash)
	} else {
		same = slices.DeleteFunc(append(same, s.series[hash]), func(o *Series) bool { return o == ser })
		if s.series[hash], s.more[hash] = same[0], same[1:]; len(same) == 1 {
			delete(s.more, hash)
		}
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
	for hash, ser := range s.series {
		dst = append(append(dst, ser), s.more[hash]...)
	}
	return dst
}
