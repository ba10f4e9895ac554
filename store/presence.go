package store

import (
	"context"
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// Presence is how many series are in each state.
type Presence [states]int

// Shown is a series to be displayed.
type Shown struct {
	Labels labels.Labels
	State  State
	// Last is the newest sample that is no staleness marker. Its value is undefined if it
	// is a native histogram.
	Last      Point
	Histogram bool
}

// Show returns the states of the series that match ms, and the first limit of these: late
// ones, then live ones, then ended ones.
func (s *Store) Show(ctx context.Context, limit int, ms ...*labels.Matcher) (p Presence, shown []Shown, err error) {
	found, err := s.index.Find(ctx, ms...)
	if err != nil {
		return p, nil, err
	}
	var first [states][]*Series
	now, lookback := s.now(), s.opts.Lookback.Milliseconds()
	for _, ser := range found {
		state, ok := ser.state(now, lookback)
		if !ok {
			continue
		}
		if p[state]++; len(first[state]) < limit {
			first[state] = append(first[state], ser)
		}
	}
	var builder labels.ScratchBuilder
	for state, series := range first {
		for _, ser := range series {
			lset, ok := s.index.Labels(ser, &builder)
			if !ok || len(shown) == limit {
				continue
			}
			one := Shown{Labels: lset, State: State(state)}
			ser.mu.Lock()
			if last, ok := ser.ring.LastValue(); ok {
				one.Last, one.Histogram = Point{last.T, last.V}, last.Hist != nil
			}
			ser.mu.Unlock()
			shown = append(shown, one)
		}
	}
	return p, shown, nil
}

// maxLooked bounds the series whose labels Values considers.
const maxLooked = 100_000

// Values returns the values of a label among the series that match, or among all,
// sorted, and how many series those are. It considers the first 100,000 series.
func (s *Store) Values(ctx context.Context, name string, ms ...*labels.Matcher) (values []string, series int, err error) {
	if len(ms) == 0 && name == labels.MetricName {
		return slices.Sorted(maps.Keys(s.Metrics())), s.SeriesCount(), nil // without looking at all series
	}
	found, err := s.index.Find(ctx, ms...)
	if err != nil {
		return nil, 0, err
	}
	set := map[string]struct{}{}
	s.index.EachPairOf(found[:min(len(found), maxLooked)], func(n, value string) {
		if n == name {
			set[value] = struct{}{}
		}
	})
	return slices.Sorted(maps.Keys(set)), len(found), nil
}

// Metrics returns how many series each metric has, by name.
func (s *Store) Metrics() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]int, len(s.names))
	for name, mn := range s.names {
		all[name] = int(mn.series.Load())
	}
	return all
}
