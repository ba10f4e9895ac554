package store

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// State is how a series stands.
type State int

var stateNames = [states]string{"gone", "live", "ended"}

// String returns the state as /metrics names it.
func (s State) String() string { return stateNames[s] }

// How a series stands.
const (
	Gone  State = iota // it fell silent
	Live               // it was pushed, and is not over
	Ended              // by its sender's staleness marker
	states
)

// Shown is a series for people to look at.
type Shown struct {
	Labels labels.Labels
	State  State
	// Last is the newest sample that is no staleness marker. Its value means
	// nothing if it is a native histogram.
	Last      Point
	Histogram bool
}

// maxLooked bounds the series whose labels are looked at for people's sake.
const maxLooked = 100_000

// Show is Presence, with the first limit series: those gone, then the live, then
// the ended.
func (s *Store) Show(ctx context.Context, limit int, ms ...*labels.Matcher) (Presence, []Shown, error) {
	found, err := s.find(ctx, ms...)
	if err != nil {
		return Presence{}, nil, err
	}
	var p Presence
	var first [states][]*Series
	now, lookback := s.now(), s.opts.Lookback.Milliseconds()
	for _, ser := range found {
		if state, ok := p.count(ser, now, lookback); ok && len(first[state]) < limit {
			first[state] = append(first[state], ser)
		}
	}
	var shown []Shown
	var builder labels.ScratchBuilder
	for state, series := range first {
		for _, ser := range series {
			lset, ok := s.index.labels(ser, &builder)
			if !ok || len(shown) == limit {
				continue
			}
			one := Shown{Labels: lset, State: State(state)}
			ser.mu.Lock()
			if last, ok := ser.ring.lastValue(); ok {
				one.Last, one.Histogram = Point{last.t, last.v}, last.hist != nil
			}
			ser.mu.Unlock()
			shown = append(shown, one)
		}
	}
	return p, shown, nil
}

// Values returns the values of a label among the series that match, or among all
// of them, sorted, and how many series those are. Only the first 100,000 series
// are looked at.
func (s *Store) Values(ctx context.Context, name string, ms ...*labels.Matcher) (values []string, series int, err error) {
	if len(ms) == 0 && name == labels.MetricName {
		// This one is asked for all series there may be, so it takes no look at them.
		for _, m := range s.Metrics() {
			values = append(values, m.Name)
		}
		return values, s.SeriesCount(), nil
	}
	found, err := s.find(ctx, ms...)
	if err != nil {
		return nil, 0, err
	}
	set := map[string]struct{}{}
	s.index.eachOf(found[:min(len(found), maxLooked)], func(p *pair) {
		if p.name == name {
			set[p.value] = struct{}{}
		}
	})
	return slices.Sorted(maps.Keys(set)), len(found), nil
}

// Metric is a metric's name with the number of its series.
type Metric struct {
	Name   string
	Series int
}

// Metrics returns the metrics that are held, by name.
func (s *Store) Metrics() []Metric {
	all := s.index.metrics()
	slices.SortFunc(all, func(a, b Metric) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (x *index) metrics() []Metric {
	x.mu.RLock()
	defer x.mu.RUnlock()
	all := make([]Metric, 0, len(x.names[labels.MetricName]))
	for name, n := range x.names[labels.MetricName] {
		all = append(all, Metric{name, len(x.pairs[n].refs)})
	}
	return all
}
