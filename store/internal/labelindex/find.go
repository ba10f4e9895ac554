package labelindex

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
)

// Find returns the items that match all the matchers, in the order in which they were
// added. Some may have been removed when it returns.
func (x *Index[T]) Find(ctx context.Context, ms ...*labels.Matcher) ([]*T, error) {
	for {
		s := x.search(ms)
		for s.more() {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			x.step(s)
		}
		if s.valid {
			return s.found, ctx.Err()
		}
	}
}

// search is the state of a Find, which locks the index for one chunk at a time.
type search[T any] struct {
	refs    []Ref // left to look at
	pages   []Ref // the same, if no matcher has a list
	filters []*labels.Matcher
	matched []map[string]bool // by filter and value: thousands of items share a few values
	found   []*T
	era     int
	valid   bool // the refs are those of the era
}

func (s *search[T]) more() bool { return s.valid && len(s.refs)+len(s.pages) > 0 }

func (x *Index[T]) search(ms []*labels.Matcher) *search[T] {
	x.mu.RLock()
	lists, filters := x.listsLocked(ms)
	s := &search[T]{filters: filters, era: x.era, valid: true}
	if len(lists) == 0 {
		s.pages = x.items.pages()
	}
	x.mu.RUnlock()
	if len(lists) > 0 {
		s.refs = intersect(lists)
	}
	if len(filters) == 0 {
		s.found = make([]*T, 0, len(s.refs)+len(s.pages)*refPage)
	}
	return s
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

// step looks at the next chunk.
func (x *Index[T]) step(s *search[T]) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if s.valid = s.era == x.era; !s.valid {
		return
	}
	before := len(s.found)
	if n := min(chunk, len(s.refs)); n > 0 {
		s.found, s.refs = x.items.appendItems(s.found, s.refs[:n]), s.refs[n:]
	} else {
		n = min(chunk/refPage, len(s.pages))
		s.found, s.pages = x.items.appendPages(s.found, s.pages[:n]), s.pages[n:]
	}
	if len(s.filters) == 0 {
		return
	}
	s.matched = make([]map[string]bool, len(s.filters))
	for i := range s.matched {
		s.matched[i] = map[string]bool{}
	}
	out := s.found[:before]
	for _, item := range s.found[before:] {
		if x.passesLocked(s, x.entry(item).Set) {
			out = append(out, item)
		}
	}
	s.found = out
}

func (x *Index[T]) passesLocked(s *search[T], set Set) bool {
	for i, m := range s.filters {
		v := x.labelLocked(set, m.Name)
		ok, known := s.matched[i][v]
		if !known {
			ok = m.Matches(v)
			s.matched[i][v] = ok
		}
		if !ok {
			return false
		}
	}
	return true
}
