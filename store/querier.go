package store

import (
	"context"
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
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
	found, err := q.s.index.Find(ctx, ms...)
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
		q.s.index.EachPair(func(name, value string, _ int) { add(name, value) })
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
	q       *querier
	series  []*Series
	builder labels.ScratchBuilder
	sorted  []view // before series
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
		// A series that was freed meanwhile has no samples left.
		if lset, ok := s.q.s.index.Labels(ser, &s.builder); ok {
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

// Iterator copies the samples, so that nothing is locked while the caller iterates. It
// reuses the memory of an iterator that the caller passes back.
func (v view) Iterator(it chunkenc.Iterator) chunkenc.Iterator {
	own, ok := it.(*ring.Iterator)
	if !ok {
		own = ring.NewIterator()
	}
	own.Clear()
	v.ser.copySamples(own, v.q.mint, v.q.maxt, v.q.s.opts.Lookback.Milliseconds())
	own.Rewind()
	return own
}

// copySamples appends the samples in [mint, maxt] to dst, and the staleness marker that
// silence implies.
func (s *Series) copySamples(dst *ring.Iterator, mint, maxt, lookback int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := s.ring.Search(mint); i < s.ring.Len(); i++ {
		in := s.ring.At(i)
		if in.T > maxt {
			return
		}
		dst.Append(in)
	}
	if s.ring.Len() == 0 || s.ring.Last().Stale() {
		return
	}
	if t := s.silentFromLocked(lookback); t >= mint && t <= maxt {
		dst.Append(ring.Sample{T: t, V: ring.StaleNaN})
	}
}
