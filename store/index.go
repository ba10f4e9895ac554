package store

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/index"
)

// find returns the series that match all the matchers, in the order in which
// they were made.
func (s *Store) find(ctx context.Context, ms ...*labels.Matcher) ([]*Series, error) {
	p, err := s.postingsFor(ctx, ms)
	if err != nil {
		return nil, err
	}
	out := s.refs.appendSeries(nil, p)
	if err := p.Err(); err != nil {
		return nil, fmt.Errorf("reading the index: %w", err)
	}
	return out, nil
}

// postingsFor intersects the postings of the matchers that want a label and takes
// away those of the matchers that don't.
func (s *Store) postingsFor(ctx context.Context, ms []*labels.Matcher) (index.Postings, error) {
	var want, unwanted []index.Postings
	for _, m := range ms {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		switch {
		case m.Matches(""):
			// A series without the label matches; take away those whose value doesn't.
			unwanted = append(unwanted, s.postings.PostingsForLabelMatching(ctx, m.Name, func(v string) bool { return !m.Matches(v) }))
		case m.Type == labels.MatchEqual:
			want = append(want, s.postings.Postings(ctx, m.Name, m.Value))
		case m.Type == labels.MatchRegexp && len(m.SetMatches()) > 0:
			want = append(want, s.postings.Postings(ctx, m.Name, m.SetMatches()...))
		default:
			want = append(want, s.postings.PostingsForLabelMatching(ctx, m.Name, m.Matches))
		}
	}
	if len(want) == 0 {
		want = append(want, s.postings.All())
	}
	p := index.Intersect(want...)
	for _, u := range unwanted {
		p = index.Without(p, u)
	}
	return p, nil
}
