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

// refs returns the refs of all items.
func (t table[T]) refs() []Ref {
	refs := make([]Ref, 0, len(t)*refPage)
	for _, at := range slices.Sorted(maps.Keys(t)) {
		for i, item := range &t[at].items {
			if item != nil {
				refs = append(refs, at*refPage+Ref(i)) //nolint:gosec // within the page
			}
		}
	}
	return refs
}

// All yields all items. It locks the index for one page at a time.
func (x *Index[T]) All(yield func(*T) bool) {
	x.mu.RLock()
	items := x.items
	pages := slices.Sorted(maps.Keys(items))
	x.mu.RUnlock()
	for _, at := range pages {
		var some [refPage]*T
		x.mu.RLock()
		if p := items[at]; p != nil {
			some = p.items
		}
		x.mu.RUnlock()
		for _, item := range &some {
			if item != nil && !yield(item) {
				return
			}
		}
	}
}
