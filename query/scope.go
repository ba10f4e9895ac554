package query

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// Scope bounds a query to the series that have a label with a value, such as
// those of one namespace. The zero value bounds nothing.
type Scope struct{ Label, Value string }

func (s Scope) matcher() *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchEqual, s.Label, s.Value)
}

// errUnscoped can only come from an error in this package.
var errUnscoped = errors.New("a selector is without the matcher that bounds the query")

// apply adds the scope's matcher to every selector. One that can only match
// outside of the scope is refused: it has no series, not by what is stored but
// by what it says, and "no series" is answered with zero.
func (s Scope) apply(expr parser.Expr) error {
	if s.Label == "" {
		return nil
	}
	if s.Value == "" {
		// It would match the series that have no such label, which belong to no user.
		return badf("only series with the asker's own %s are shown, and it is empty", s.Label)
	}
	var err error
	for _, one := range selectorsOf(expr) {
		for _, m := range one.matchers {
			if m.Name == s.Label && !m.Matches(s.Value) {
				err = errors.Join(err, badf("%s can match nothing: the query sees only series with %s, and %s excludes them all; leave %s out",
					selectorText(one.matchers), s.matcher(), m, m))
			}
		}
		if !s.bounds(one.matchers) {
			one.node.LabelMatchers = append(one.node.LabelMatchers, s.matcher())
		}
	}
	return err
}

// bounds reports whether the matchers let nothing outside of the scope through.
func (s Scope) bounds(ms []*labels.Matcher) bool {
	return s.Label == "" || slices.ContainsFunc(ms, s.is)
}

func (s Scope) is(m *labels.Matcher) bool {
	return m.Type == labels.MatchEqual && m.Name == s.Label && m.Value == s.Value
}

// Within returns the storage as far as it is within the scope. A selector's own
// matcher is not enough for the engine: info() looks up series that no selector
// of the query names.
func (s Scope) Within(all storage.Queryable) storage.Queryable {
	if s.Label == "" {
		return all
	}
	return storage.QueryableFunc(func(mint, maxt int64) (storage.Querier, error) {
		querier, err := all.Querier(mint, maxt)
		if err != nil {
			return nil, fmt.Errorf("within %s: %w", s.matcher(), err)
		}
		return scopedQuerier{querier, s}, nil
	})
}

type scopedQuerier struct {
	storage.Querier
	scope Scope
}

func (q scopedQuerier) with(ms []*labels.Matcher) []*labels.Matcher {
	if q.scope.bounds(ms) {
		return ms
	}
	return append(slices.Clip(ms), q.scope.matcher())
}

// Select implements storage.Querier.
func (q scopedQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	return q.Querier.Select(ctx, sorted, hints, q.with(ms)...)
}

// LabelValues implements storage.LabelQuerier.
func (q scopedQuerier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.Querier.LabelValues(ctx, name, hints, q.with(ms)...)
}

// LabelNames implements storage.LabelQuerier.
func (q scopedQuerier) LabelNames(ctx context.Context, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.Querier.LabelNames(ctx, hints, q.with(ms)...)
}
