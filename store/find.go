package store

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
)

// find returns the series that match all the matchers, in the order in which
// they were made.
func (s *Store) find(ctx context.Context, ms ...*labels.Matcher) ([]*Series, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		era := s.refs.now()
		lists, filters := s.index.lists(ms)
		if len(lists) == 0 {
			return s.index.filter(ctx, s.refs.all(), filters)
		}
		if found, ok := s.refs.series(intersect(lists), era); ok {
			return s.index.filter(ctx, found, filters)
		}
	}
}

// lists returns the series of each matcher that names its values; the others
// are left, to look at each of those series. If none names any, one whose label
// must be there is taken by trying all its values.
func (x *index) lists(ms []*labels.Matcher) (lists [][]ref, filters []*labels.Matcher) {
	x.mu.RLock()
	defer x.mu.RUnlock()
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

func (x *index) refsLocked(name string, values ...string) []ref {
	var lists [][]ref
	for _, v := range values {
		if n, ok := x.names[name][v]; ok {
			lists = append(lists, x.pairs[n].refs)
		}
	}
	return union(lists)
}

// filter returns those of the series that match, and uses their slice.
func (x *index) filter(ctx context.Context, series []*Series, ms []*labels.Matcher) ([]*Series, error) {
	if len(ms) == 0 {
		return series, nil
	}
	out := series[:0]
	for len(series) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		chunk := series[:min(chunkSize, len(series))]
		series = series[len(chunk):]
		out = x.filterChunk(out, chunk, ms)
	}
	return out, nil
}

func (x *index) filterChunk(out, chunk []*Series, ms []*labels.Matcher) []*Series {
	matched := make([]map[string]bool, len(ms)) // by value: thousands of series share a few
	for i := range matched {
		matched[i] = map[string]bool{}
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
next:
	for _, ser := range chunk {
		if ser.Freed() {
			continue // its set means nothing any more
		}
		for i, m := range ms {
			v := x.valueLocked(ser.set, m.Name)
			ok, known := matched[i][v]
			if !known {
				ok = m.Matches(v)
				matched[i][v] = ok
			}
			if !ok {
				continue next
			}
		}
		out = append(out, ser)
	}
	return out
}

// valueLocked returns the value of a label, or nothing.
func (x *index) valueLocked(set labelSet, name string) (value string) {
	x.eachLocked(set, func(p *pair) bool {
		if p.name != name {
			return true
		}
		value = p.value
		return false
	})
	return value
}

// value returns the value of a series' label, or nothing; that of a series which
// was freed meanwhile too.
func (x *index) value(ser *Series, name string) string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if ser.Freed() {
		return ""
	}
	return x.valueLocked(ser.set, name)
}
