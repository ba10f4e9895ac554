package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

// Reasons why an append is rejected. They come wrapped with the figures. A rejected
// append changes nothing in the store.
var (
	// ErrTooOld: the sample is older than the retention.
	ErrTooOld = errors.New("sample is older than the retention")
	// ErrSeriesLimit: a new series would exceed Options.MaxSeries.
	ErrSeriesLimit = errors.New("series limit reached")
	// ErrMetricLimit: a new series would exceed Options.MaxSeriesPerMetric.
	ErrMetricLimit = errors.New("series limit of the metric reached")
	// ErrNoMemory: there is too little memory for a new series.
	ErrNoMemory = errors.New("memory for new series has run out")
	// ErrFreed: the series was removed from the store after its Lookup.
	ErrFreed = errors.New("series was freed")
)

// fullError is why there is no new series. Its text is made when it is read: of a
// thousand such errors, one is logged.
type fullError struct {
	limit  error
	series int
}

func (e *fullError) Error() string { return fmt.Sprintf("%s: %d series are held", e.limit, e.series) }

func (e *fullError) Unwrap() error { return e.limit }

// MaxSeries returns the most series that the store stores.
func (s *Store) MaxSeries() int { return s.opts.MaxSeries }

// MaxSeriesPerMetric returns the most series that the store stores of one name.
func (s *Store) MaxSeriesPerMetric() int { return s.opts.MaxSeriesPerMetric }

// admitLocked returns why there may be no new series of a metric, or nil.
func (s *Store) admitLocked(name string) error {
	if s.count >= s.opts.MaxSeries {
		s.metrics.rejectedTotal.Inc()
		return &fullError{ErrSeriesLimit, s.count}
	}
	if mn := s.names[name]; mn != nil && int(mn.series.Load()) >= s.opts.MaxSeriesPerMetric {
		s.metrics.rejectedMetric.Inc()
		return s.explainLocked(mn)
	}
	if s.opts.Full() {
		s.metrics.rejectedMemory.Inc()
		return &fullError{ErrNoMemory, s.count}
	}
	return nil
}

const (
	// cardinalitySample is how many series Cardinality considers: the newest, because a
	// label whose cardinality has just begun to grow had few values before.
	cardinalitySample = 1000
	// cardinalityInterval is the least time between two look-ups, in ms: to reject a
	// series costs less than to store it.
	cardinalityInterval = 10_000
)

// Cardinality is why a metric has so many series.
type Cardinality struct {
	Metric string
	Series int

	Label          string // that with most values, of the newest series; empty if they have none
	Values, Looked int    // how many values it has among how many series
}

// String returns it in a few words.
func (c Cardinality) String() string {
	if c.Label == "" {
		return fmt.Sprintf("%d series of %s", c.Series, c.Metric)
	}
	return fmt.Sprintf("%d series of %s, whose label %s has %d values in the newest %d", c.Series, c.Metric, c.Label, c.Values, c.Looked)
}

// Cardinality returns that of the metric with most series; ok is false if there are
// no series.
func (s *Store) Cardinality() (c Cardinality, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var largest *metricName
	for _, mn := range s.names {
		if largest == nil || mn.series.Load() > largest.series.Load() {
			largest = mn
		}
	}
	if largest == nil {
		return Cardinality{}, false
	}
	return s.cardinalityLocked(largest), true
}

func (s *Store) cardinalityLocked(mn *metricName) Cardinality {
	c := Cardinality{Metric: mn.name, Series: int(mn.series.Load())}
	values := map[string]map[string]struct{}{}
	c.Looked = s.index.EachPairOfNewest(labels.Label{Name: labels.MetricName, Value: mn.name}, cardinalitySample, func(name, value string) {
		if values[name] == nil {
			values[name] = map[string]struct{}{}
		}
		values[name][value] = struct{}{}
	})
	for name, of := range values {
		if name != labels.MetricName && (len(of) > c.Values || len(of) == c.Values && name < c.Label) {
			c.Label, c.Values = name, len(of)
		}
	}
	return c
}

// metricFullError is why there is no new series of a metric.
type metricFullError struct{ Cardinality }

func (e *metricFullError) Error() string {
	return fmt.Sprintf("%s: held are %s", ErrMetricLimit, e.Cardinality)
}

func (e *metricFullError) Unwrap() error { return ErrMetricLimit }

// explained is the last explanation of a metric at its limit.
type explained struct {
	metric *metricName
	at     int64 // in ms
	err    *metricFullError
}

// explainLocked returns the cardinality of a metric that is at its limit, as of up to
// ten seconds ago. It looks at one metric at a time; of others at their limit
// meanwhile it returns only the number of series.
func (s *Store) explainLocked(mn *metricName) error {
	if now := s.now(); s.explained.err == nil || now-s.explained.at >= cardinalityInterval {
		s.explained = explained{mn, now, &metricFullError{s.cardinalityLocked(mn)}}
	}
	if s.explained.metric != mn {
		return &metricFullError{Cardinality{Metric: mn.name, Series: int(mn.series.Load())}}
	}
	return s.explained.err
}

// maxTooOld bounds the series that tooOld stores.
const maxTooOld = 4096

// tooOld stores which series sent load that was rejected as too old: by a clock that
// is hours late, or from a queue. An empty result does not mean that there is no load
// then.
type tooOld struct {
	count atomic.Int32 // of series, for readers that need not look

	mu      sync.Mutex // guards what follows
	series  map[uint64]tooOldSeries
	expired int64 // when all were looked at last, in ms; not for each of a flood
}

type tooOldSeries struct {
	lset labels.Labels
	at   int64 // when the last sample arrived, in ms
}

// rejectTooOld returns the error for a sample, and stores its series.
func (a *Appender) rejectTooOld(lset labels.Labels, in ring.Sample) error {
	if !in.Stale() && addsLoad(in) {
		a.s.tooOld.add(lset, a.now, a.mint)
	}
	return fmt.Errorf("%w: %s, and samples are kept for %s", ErrTooOld,
		time.UnixMilli(in.T).UTC().Format(time.RFC3339Nano), a.s.opts.Retention)
}

func (o *tooOld) add(lset labels.Labels, now, mint int64) {
	hash := lset.Hash()
	o.mu.Lock()
	defer o.mu.Unlock()
	one, known := o.series[hash]
	if !known && len(o.series) >= maxTooOld {
		if now-o.expired >= 1000 {
			o.expired = now
			o.expireLocked(mint)
		}
		if len(o.series) >= maxTooOld {
			return // of so many, one more changes little
		}
	}
	if !known {
		one.lset = lset.Copy() // a part of the request
	}
	one.at = now
	o.series[hash] = one
	o.count.Store(int32(len(o.series))) //nolint:gosec // bounded
}

func (o *tooOld) expireLocked(mint int64) {
	for hash, one := range o.series {
		if one.at < mint {
			delete(o.series, hash)
		}
	}
	o.count.Store(int32(len(o.series))) //nolint:gosec // bounded
}

// TooOld reports whether, within the retention, load that matches ms was rejected as
// too old.
func (s *Store) TooOld(ms ...*labels.Matcher) bool {
	o := &s.tooOld
	if o.count.Load() == 0 {
		return false
	}
	mint := s.now() - s.opts.Retention.Milliseconds()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.expireLocked(mint)
	for _, one := range o.series {
		if matchesAll(one.lset, ms) {
			return true
		}
	}
	return false
}
