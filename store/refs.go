package store

import (
	"sync"

	"github.com/prometheus/prometheus/storage"
)

// refPage is how many refs stand in one page.
const refPage = 1024

// refs finds series by the refs that the index speaks of. Refs only ever rise,
// so pages fill one after the other and are given up when all their series are
// freed: eight bytes a series, a quarter of what a map takes.
type refs struct {
	mu    sync.RWMutex // guards what follows
	pages map[storage.SeriesRef]*page
}

type page struct {
	series [refPage]*Series
	n      int
}

func (r *refs) put(ser *Series) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pages[ser.ref/refPage]
	if p == nil {
		p = &page{}
		r.pages[ser.ref/refPage] = p
	}
	p.series[ser.ref%refPage] = ser
	p.n++
}

func (r *refs) remove(ref storage.SeriesRef) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pages[ref/refPage]
	p.series[ref%refPage] = nil
	if p.n--; p.n == 0 {
		delete(r.pages, ref/refPage)
	}
}

// appendSeries appends the series of ps to dst. Refs of series that were freed
// since the postings were read are passed over.
func (r *refs) appendSeries(dst []*Series, ps interface {
	Next() bool
	At() storage.SeriesRef
}) []*Series {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for ps.Next() {
		ref := ps.At()
		if p := r.pages[ref/refPage]; p != nil && p.series[ref%refPage] != nil {
			dst = append(dst, p.series[ref%refPage])
		}
	}
	return dst
}
