package store

import (
	"maps"
	"slices"
	"sync"
)

// refPage is how many refs stand in one page.
const refPage = 256

// refs finds series by the refs that the index speaks of. Refs only ever rise,
// so pages fill one after the other and are given up when all their series are
// freed: eight bytes a series, a quarter of what a map takes.
type refs struct {
	mu    sync.RWMutex // guards what follows; taken after index.mu
	pages map[ref]*page
	era   int // how often series were numbered anew
}

type page struct {
	series [refPage]*Series
	n      int
}

func (r *refs) put(ser *Series) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.putLocked(ser)
}

func (r *refs) putLocked(ser *Series) {
	p := r.pages[ser.ref/refPage]
	if p == nil {
		p = &page{}
		r.pages[ser.ref/refPage] = p
	}
	p.series[ser.ref%refPage] = ser
	p.n++
}

func (r *refs) remove(freed []*Series) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ser := range freed {
		p := r.pages[ser.ref/refPage]
		p.series[ser.ref%refPage] = nil
		if p.n--; p.n == 0 {
			delete(r.pages, ser.ref/refPage)
		}
	}
}

// chunkSize is how many series are looked at before others, who may want to make
// new ones, have their turn at a lock.
const chunkSize = 1024

func (r *refs) now() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.era
}

// series returns the series of a list that was read in an era; ok is false if
// that is over. Series that were freed since are passed over.
func (r *refs) series(list []ref, era int) (out []*Series, ok bool) {
	out = make([]*Series, 0, len(list))
	for chunk := range slices.Chunk(list, chunkSize) {
		if out, ok = r.appendSeries(out, chunk, era); !ok {
			return nil, false
		}
	}
	return out, true
}

func (r *refs) appendSeries(dst []*Series, list []ref, era int) ([]*Series, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if era != r.era {
		return nil, false
	}
	var p *page
	at := ref(0)
	for _, i := range list {
		if p == nil || i/refPage != at {
			at = i / refPage
			if p = r.pages[at]; p == nil {
				continue
			}
		}
		if ser := p.series[i%refPage]; ser != nil {
			dst = append(dst, ser)
		}
	}
	return dst, true
}

// filled returns where there are series, in the order in which they were made.
func (r *refs) filled() []ref {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.pages))
}

// appendPage appends the series of one page to dst; ok is false if the era is
// over.
func (r *refs) appendPage(dst []*Series, at ref, era int) (out []*Series, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p := r.pages[at]
	if era != r.era || p == nil {
		return dst, era == r.era
	}
	for _, ser := range &p.series {
		if ser != nil {
			dst = append(dst, ser)
		}
	}
	return dst, true
}

// all returns every series, in the order in which they were made.
func (r *refs) all() []*Series {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []*Series
	for _, at := range slices.Sorted(maps.Keys(r.pages)) {
		for _, ser := range &r.pages[at].series {
			if ser != nil {
				out = append(out, ser)
			}
		}
	}
	return out
}

// renumber gives all series new refs, from 1 on in the same order, for when
// there are none left: after four billion series.
func (s *Store) renumberLocked() {
	all := s.refs.all()
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	s.refs.mu.Lock()
	defer s.refs.mu.Unlock()
	before := s.refs.pages
	s.refs.pages = map[ref]*page{}
	s.refs.era++
	s.lastRef = 0
	for _, ser := range all {
		s.lastRef++
		ser.ref = s.lastRef
		s.refs.putLocked(ser)
	}
	s.index.renumberLocked(func(r ref) ref { return before[r/refPage].series[r%refPage].ref })
}
