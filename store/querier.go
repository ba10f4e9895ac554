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

// Querier returns the samples in [mint, maxt] (ms), as far as the retention reaches.
// It implements storage.Queryable.
func (s *Store) Querier(mint, maxt int64) (storage.Querier, error) {
	return &querier{s: s, now: s.now(), mint: mint, maxt: maxt}, nil
}

// Within returns the store as a view shows it. The view must not change while it is
// in use.
func (s *Store) Within(view *View) storage.Queryable {
	return storage.QueryableFunc(func(mint, maxt int64) (storage.Querier, error) {
		return &querier{s: s, mint: mint, maxt: maxt, view: view}, nil
	})
}

type querier struct {
	s               *Store
	now, mint, maxt int64
	view            *View // nil for the samples as they are
}

func (q *querier) Close() error { return nil }

// Select implements storage.Querier.
func (q *querier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	found, err := q.s.index.Find(ctx, ms...)
	if err != nil {
		return storage.ErrSeriesSet(err)
	}
	set := &seriesSet{q: q, series: found}
	set.liveOnly = q.view != nil && hints != nil && hints.Range > 0 && !q.view.Accumulates(hints.Func)
	if sorted {
		set.sort()
	}
	return set
}

// LabelValues implements storage.LabelQuerier.
func (q *querier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.collect(ctx, hints, ms, func(n, value string) (string, bool) { return value, n == name })
}

// LabelNames implements storage.LabelQuerier.
func (q *querier) LabelNames(ctx context.Context, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.collect(ctx, hints, ms, func(name, _ string) (string, bool) { return name, true })
}

// collect returns, sorted, what from returns for the labels of the series that match.
func (q *querier) collect(ctx context.Context, hints *storage.LabelHints, ms []*labels.Matcher, from func(name, value string) (string, bool)) ([]string, annotations.Annotations, error) {
	set := map[string]struct{}{}
	add := func(name, value string) {
		if v, ok := from(name, value); ok {
			set[v] = struct{}{}
		}
	}
	if len(ms) == 0 {
		q.s.index.EachPair(add)
	} else {
		found, err := q.s.index.Find(ctx, ms...)
		if err != nil {
			return nil, nil, err
		}
		q.s.index.EachPairOf(found, add)
	}
	out := slices.Sorted(maps.Keys(set))
	if hints != nil && hints.Limit > 0 && len(out) > hints.Limit {
		out = out[:hints.Limit]
	}
	return out, nil, nil
}

// seriesSet reads the labels of a series when it advances to it.
type seriesSet struct {
	q        *querier
	series   []*Series
	liveOnly bool
	builder  labels.ScratchBuilder
	sorted   []seriesView // before series
	at       seriesView
}

func (s *seriesSet) sort() {
	views := make([]seriesView, 0, len(s.series))
	for s.Next() {
		views = append(views, s.at)
	}
	slices.SortFunc(views, func(a, b seriesView) int { return labels.Compare(a.lset, b.lset) })
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
		// A series that was freed meanwhile has no samples left.
		if lset, ok := s.q.s.index.Labels(ser, &s.builder); ok {
			s.at = seriesView{s, ser, lset}
			return true
		}
	}
	return false
}

func (s *seriesSet) At() storage.Series                { return s.at }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

// seriesView is a series as one set of a querier shows it.
type seriesView struct {
	set  *seriesSet
	ser  *Series
	lset labels.Labels
}

func (v seriesView) Labels() labels.Labels { return v.lset }

// Iterator copies the samples, so that nothing is locked while the caller iterates. It
// reuses the memory of an iterator that the caller passes back.
func (v seriesView) Iterator(it chunkenc.Iterator) chunkenc.Iterator {
	own, ok := it.(*iterator)
	if !ok {
		own = newIterator()
	}
	own.samples = v.appendTo(own.samples[:0])
	own.rewind()
	return own
}

func (v seriesView) appendTo(dst points) points {
	q, lookback := v.set.q, v.set.q.s.opts.Lookback.Milliseconds()
	v.ser.mu.Lock()
	defer v.ser.mu.Unlock()
	if q.view == nil {
		f := frame{n: v.ser.ring.Len()}
		if f.n > 0 {
			f.end = f.endLocked(v.ser, lookback)
		}
		return f.appendLocked(dst, v.ser, max(q.mint, q.now-v.ser.retentionLocked(&q.s.opts)), q.maxt)
	}
	f := q.view.frameLocked(v.ser, lookback)
	if v.set.liveOnly && !f.live {
		return dst
	}
	return f.appendLocked(dst, v.ser, q.mint, q.maxt)
}
