package store

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
)

const (
	// explosionLook is how many series tell which label makes them so many: the
	// newest, since what has just begun to explode had few values before.
	explosionLook = 1000
	// explosionEvery is the least time between two looks, in ms: a refusal is to
	// cost less than what is refused.
	explosionEvery = 10_000
)

// Explosion is why a metric has so many series.
type Explosion struct {
	Metric string
	Series int

	Label          string // that with most values, of the newest series; empty if they have none
	Values, Looked int    // how many values it has among how many series
}

// String says it in a few words.
func (e Explosion) String() string {
	if e.Label == "" {
		return fmt.Sprintf("%d series of %s", e.Series, e.Metric)
	}
	return fmt.Sprintf("%d series of %s, whose label %s has %d values in the newest %d", e.Series, e.Metric, e.Label, e.Values, e.Looked)
}

// Explosion returns that of the metric which has most series; ok is false if
// there are none.
func (s *Store) Explosion() (e Explosion, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var largest *metricName
	for _, mn := range s.names {
		if largest == nil || mn.series.Load() > largest.series.Load() {
			largest = mn
		}
	}
	if largest == nil {
		return Explosion{}, false
	}
	return s.explosionLocked(largest), true
}

func (s *Store) explosionLocked(mn *metricName) Explosion {
	e := Explosion{Metric: mn.name, Series: int(mn.series.Load())}
	x := &s.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	newest := x.refsLocked(labels.MetricName, mn.name)
	newest = newest[max(0, len(newest)-explosionLook):]
	found, _ := s.refs.series(newest, s.refs.now()) // refs are given anew under Store.mu only
	values := map[string]map[string]struct{}{}
	for _, ser := range found {
		e.Looked++
		x.eachLocked(ser.set, func(p *pair) bool {
			if values[p.name] == nil {
				values[p.name] = map[string]struct{}{}
			}
			values[p.name][p.value] = struct{}{}
			return true
		})
	}
	for name, of := range values {
		if name != labels.MetricName && (len(of) > e.Values || len(of) == e.Values && name < e.Label) {
			e.Label, e.Values = name, len(of)
		}
	}
	return e
}

// explodedError is why there is no new series of a metric.
type explodedError struct{ Explosion }

func (e *explodedError) Error() string {
	return fmt.Sprintf("%s: held are %s", ErrMetricLimit, e.Explosion)
}

func (e *explodedError) Unwrap() error { return ErrMetricLimit }

// blamed is what was last found out about a metric at its limit.
type blamed struct {
	metric *metricName
	at     int64 // in ms
	err    *explodedError
}

// blameLocked returns the explosion of a metric that is at its limit, which may
// be one of some seconds ago. It looks at one metric at a time; of others that
// are at theirs meanwhile it knows their number only.
func (s *Store) blameLocked(mn *metricName) error {
	if now := s.now(); s.blamed.err == nil || now-s.blamed.at >= explosionEvery {
		s.blamed = blamed{mn, now, &explodedError{s.explosionLocked(mn)}}
	}
	if s.blamed.metric != mn {
		return &explodedError{Explosion{Metric: mn.name, Series: int(mn.series.Load())}}
	}
	return s.blamed.err
}
