package labelindex

import (
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// Find returns the items that match all the matchers, in the order in which they were
// added. Some may have been removed when it returns. It locks the index for one chunk
// at a time.
func (x *Index[T]) Find(ctx context.Context, ms ...*labels.Matcher) (found []*T, err error) {
	x.mu.RLock()
	lists, filters := x.listsLocked(ms)
	items := x.items // those of the lists' refs, even if others get these refs meanwhile
	if len(lists) == 0 {
		lists = [][]Ref{items.refs()}
	}
	x.mu.RUnlock()
	refs := intersect(lists)
	if len(filters) == 0 {
		found = make([]*T, 0, len(refs))
	}
	for some := range slices.Chunk(refs, chunk) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		found = x.appendMatching(found, items, some, filters)
	}
	return found, ctx.Err()
}

// listsLocked returns the refs of each matcher that names its values. The other
// matchers are filters, for each of these items. If none names its values, a matcher
// whose label must be there tries all values of that label.
func (x *Index[T]) listsLocked(ms []*labels.Matcher) (lists [][]Ref, filters []*labels.Matcher) {
	for _, m := range ms {
		switch {
		case m.Matches(""):
			filters = append(filters, m)
		case m.Type == labels.MatchEqual:
			lists = append(lists, x.refsLocked(m.Name, m.Value))
		case m.Type == labels.MatchRegexp && len(m.SetMatches()) > 0:
			lists = append(lists, x.refsLocked(m.Name, m.SetMatches()...))
		default:
			filters = append(filters, m)
		}
	}
	for i, m := range filters {
		if len(lists) > 0 || m.Matches("") {
			continue
		}
		var values []string
		for v := range x.names[m.Name] {
			if m.Matches(v) {
				values = append(values, v)
			}
		}
		return append(lists, x.refsLocked(m.Name, values...)), append(filters[:i:i], filters[i+1:]...)
	}
	return lists, filters
}

func (x *Index[T]) refsLocked(name string, values ...string) []Ref {
	var lists [][]Ref
	for _, v := range values {
		if n, ok := x.names[name][v]; ok {
			lists = append(lists, x.pairs[n].refs)
		}
	}
	return union(lists)
}

// appendMatching appends those of the items that pass the filters to dst.
func (x *Index[T]) appendMatching(dst []*T, items table[T], refs []Ref, filters []*labels.Matcher) []*T {
	x.mu.RLock()
	defer x.mu.RUnlock()
	before := len(dst)
	dst = items.appendItems(dst, refs)
	for _, m := range filters {
		matched := map[string]bool{} // by value: thousands of items share a few
		passed := dst[:before]
		for _, item := range dst[before:] {
			v := x.labelLocked(x.entry(item).Set, m.Name)
			ok, known := matched[v]
			if !known {
				ok = m.Matches(v)
				matched[v] = ok
			}
			if ok {
				passed = append(passed, item)
			}
		}
		dst = passed
	}
	return dst
}
