package store

import (
	"context"
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
	if sorted {
		slices.SortFunc(found, func(a, b *Series) int { return labels.Compare(a.lset, b.lset) })
	}
	return &seriesSet{q: q, series: found, i: -1}
}

// LabelValues implements storage.LabelQuerier.
func (q *querier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.collect(ctx, hints, ms, func(lset labels.Labels, add func(string)) {
		if v := lset.Get(name); v != "" {
			add(v)
		}
	})
}

// LabelNames implements storage.LabelQuerier.
func (q *querier) LabelNames(ctx context.Context, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.collect(ctx, hints, ms, func(lset labels.Labels, add func(string)) {
		lset.Range(func(l labels.Label) { add(l.Name) })
	})
}

func (q *querier) collect(ctx context.Context, hints *storage.LabelHints, ms []*labels.Matcher, from func(labels.Labels, func(string))) ([]string, annotations.Annotations, error) {
	found, err := q.s.find(ctx, ms...)
	if err != nil {
		return nil, nil, err
	}
	set := map[string]struct{}{}
	for _, ser := range found {
		from(ser.lset, func(v string) { set[v] = struct{}{} })
	}
	out := make([]string, 0, len(set))
	for v := range set {
		out = append(out, v)
	}
	slices.Sort(out)
	if hints != nil && hints.Limit > 0 && len(out) > hints.Limit {
		out = out[:hints.Limit]
	}
	return out, nil, nil
}

type seriesSet struct {
	q      *querier
	series []*Series
	i      int
}

func (s *seriesSet) Next() bool                        { s.i++; return s.i < len(s.series) }
func (s *seriesSet) At() storage.Series                { return view{s.q, s.series[s.i]} }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

// view is a series as one querier sees it.
type view struct {
	q   *querier
	ser *Series
}

func (v view) Labels() labels.Labels { return v.ser.lset }

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
