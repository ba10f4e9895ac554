package labelindex

import (
	"maps"
	"slices"
)

// refPage is the number of refs in one page.
const refPage = 256

// table maps refs to items. Refs only increase, so pages fill one after the other,
// and a page is deleted with its last item: eight bytes an item, a quarter of what a
// map takes.
type table[T any] map[Ref]*page[T]

type page[T any] struct {
	items [refPage]*T
	n     int
}

func (t table[T]) get(r Ref) *T {
	if p := t[r/refPage]; p != nil {
		return p.items[r%refPage]
	}
	return nil
}

func (t table[T]) put(r Ref, item *T) {
	p := t[r/refPage]
	if p == nil {
		p = &page[T]{}
		t[r/refPage] = p
	}
	p.items[r%refPage] = item
	p.n++
}

func (t table[T]) remove(r Ref) {
	p := t[r/refPage]
	p.items[r%refPage] = nil
	if p.n--; p.n == 0 {
		delete(t, r/refPage)
	}
}

// appendItems appends the items of a list to dst. It skips those that were removed.
func (t table[T]) appendItems(dst []*T, refs []Ref) []*T {
	var p *page[T]
	at := Ref(0)
	for _, r := range refs {
		if p == nil || r/refPage != at {
			at = r / refPage
			if p = t[at]; p == nil {
				continue
			}
		}
		if item := p.items[r%refPage]; item != nil {
			dst = append(dst, item)
		}
	}
	return dst
}

// appendPages appends all items of some pages to dst.
func (t table[T]) appendPages(dst []*T, pages []Ref) []*T {
	for _, at := range pages {
		if p := t[at]; p != nil {
			for _, item := range &p.items {
				if item != nil {
					dst = append(dst, item)
				}
			}
		}
	}
	return dst
}

// pages returns the numbers of all pages, in the order in which they were filled.
func (t table[T]) pages() []Ref { return slices.Sorted(maps.Keys(t)) }
