package store

import (
	"context"
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
)

// Querier returns a view of the samples in [mint, maxt] (ms), as far as the
// retention reaches. It implements storage.Queryable.
func (s *Store) Querier(mint, maxt int64) (storage.Querier, error) {
	return &querier{s: s, mint: max(mint, s.now()-s.opts.Retention.Milliseconds()), maxt: maxt}, nil
}

type querier struct {
	s          *Store
	mint, maxt int64
}

func (q *querier) Close() error { return nil }

// Select implements storage.Querier.
func (q *querier) Select(ctx context.Context, sorted bool, _ *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	found, err := q.s.find(ctx, ms...)
	if err != nil {
		return storage.ErrSeriesSet(err)
	}
	set := &seriesSet{q: q, series: found}
	if sorted {
		set.sort()
	}
	return set
}

// LabelValues implements storage.LabelQuerier.
func (q *querier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.collect(ctx, hints, ms, func(p *pair, add func(string)) {
		if p.name == name {
			add(p.value)
		}
	})
}

// LabelNames implements storage.LabelQuerier.
func (q *querier) LabelNames(ctx context.Context, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.collect(ctx, hints, ms, func(p *pair, add func(string)) { add(p.name) })
}

// collect returns, sorted, what from finds in the labels of the series that match.
func (q *querier) collect(ctx context.Context, hints *storage.LabelHints, ms []*labels.Matcher, from func(p *pair, add func(string))) ([]string, annotations.Annotations, error) {
	set := map[string]struct{}{}
	add := func(v string) { set[v] = struct{}{} }
	if len(ms) == 0 {
		q.s.index.each(func(p *pair) { from(p, add) })
	} else {
		found, err := q.s.find(ctx, ms...)
		if err != nil {
			return nil, nil, err
		}
		q.s.index.eachOf(found, func(p *pair) { from(p, add) })
	}
	out := slices.Sorted(maps.Keys(set))
	if hints != nil && hints.Limit > 0 && len(out) > hints.Limit {
		out = out[:hints.Limit]
	}
	return out, nil, nil
}

// seriesSet finds out about the labels of each series when its turn comes.
type seriesSet struct {
	q       *querier
	series  []*Series
	builder labels.ScratchBuilder
	sorted  []view // come first
	at      view
}

func (s *seriesSet) sort() {
	views := make([]view, 0, len(s.series))
	for s.Next() {
		views = append(views, s.at)
	}
	slices.SortFunc(views, func(a, b view) int { return labels.Compare(a.lset, b.lset) })
	s.sorted = views
}

func (s *seriesSet) Next() bool {
	if len(s.sorted) > 0 {
		s.at, s.sorted = s.sorted[0], s.sorted[1:]
		return true
	}
	for len(s.series) > 0 {
		ser := s.series[0]
		s.series = s.series[1:]
		// One that was freed meanwhile has no samples left to show.
		if lset, ok := s.q.s.index.labels(ser, &s.builder); ok {
			s.at = view{s.q, ser, lset}
			return true
		}
	}
	return false
}

func (s *seriesSet) At() storage.Series                { return s.at }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

// view is a series as one querier sees it.
type view struct {
	q    *querier
	ser  *Series
	lset labels.Labels
}

func (v view) Labels() labels.Labels { return v.lset }

// Iterator copies the samples, so that nothing is locked while the caller
// iterates; the copy's room is used again when the caller hands the iterator back.
func (v view) Iterator(it chunkenc.Iterator) chunkenc.Iterator {
	own, ok := it.(*iterator)
	if !ok {
		own = newIterator()
	}
	own.reset(v.ser.copySamples(own.samples[:0], v.q.mint, v.q.maxt, v.q.s.opts.Lookback.Milliseconds()))
	return own
}

// copySamples appends the samples in [mint, maxt] to dst, and the staleness
// marker that nobody sent but silence implies.
func (s *Series) copySamples(dst []sample, mint, maxt, lookback int64) []sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.ring.search(mint)
	for ; i < s.ring.len(); i++ {
		in := s.ring.at(i)
		if in.t > maxt {
			return dst
		}
		dst = append(dst, in)
	}
	if s.ring.len() == 0 || s.ring.last().stale() {
		return dst
	}
	if over := s.overAtLocked(lookback); over >= mint && over <= maxt {
		dst = append(dst, sample{t: over, v: staleNaN})
	}
	return dst
}
