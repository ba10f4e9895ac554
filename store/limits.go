package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/labelindex"
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

// limitError is why there is no new series. Its text is made when it is read: of a
// thousand such errors, one is logged.
type limitError struct {
	limit error
	Cardinality
}

func (e *limitError) Error() string { return fmt.Sprintf("%s: held are %s", e.limit, e.Cardinality) }

func (e *limitError) Unwrap() error { return e.limit }

// MaxSeries returns the most series that the store stores.
func (s *Store) MaxSeries() int { return s.opts.MaxSeries }

// admitLocked returns why there may be no new series of a metric, or nil.
func (s *Store) admitLocked(name string) error {
	var err *limitError
	mn := s.names[name]
	switch {
	case s.SeriesCount() >= s.opts.MaxSeries:
		err = &limitError{ErrSeriesLimit, Cardinality{Series: s.SeriesCount()}}
	case mn != nil && int(mn.series.Load()) >= s.opts.MaxSeriesPerMetric:
		err = s.explainLocked(mn)
	case s.opts.Full():
		err = &limitError{ErrNoMemory, Cardinality{Series: s.SeriesCount()}}
	default:
		return nil
	}
	s.metrics.rejected[err.limit].Inc()
	return err
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
	Metric string // empty for all
	Series int

	Label          string // that with most values, of the newest series; empty if they have none
	Values, Looked int    // how many values it has among how many series
}

// String returns it in a few words.
func (c Cardinality) String() string {
	switch {
	case c.Metric == "":
		return fmt.Sprintf("%d series", c.Series)
	case c.Label == "":
		return fmt.Sprintf("%d series of %s", c.Series, c.Metric)
	}
	return fmt.Sprintf("%d series of %s, whose label %s has %d values in the newest %d", c.Series, c.Metric, c.Label, c.Values, c.Looked)
}

// Cardinality returns that of the metric with most series.
func (s *Store) Cardinality() Cardinality {
	s.mu.Lock()
	defer s.mu.Unlock()
	var largest *metricName
	for _, mn := range s.names {
		if largest == nil || mn.series.Load() > largest.series.Load() {
			largest = mn
		}
	}
	if largest == nil {
		return Cardinality{}
	}
	return s.cardinalityLocked(largest)
}

func (s *Store) cardinalityLocked(mn *metricName) Cardinality {
	c := Cardinality{Metric: mn.name, Series: int(mn.series.Load())}
	values := map[string]map[string]struct{}{}
	all, _ := s.index.Find(context.Background(), labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, mn.name)) // it fails with its context alone
	newest := all[max(0, len(all)-cardinalitySample):]
	c.Looked = len(newest)
	s.index.EachPairOf(newest, func(name, value string) {
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

// explainLocked returns the cardinality of a metric that is at its limit, as of up to
// ten seconds ago. It looks at one metric at a time; of others at their limit
// meanwhile it returns only the number of series.
func (s *Store) explainLocked(mn *metricName) *limitError {
	if now := s.now(); s.explained == nil || now-s.explainedAt >= cardinalityInterval {
		s.explained, s.explainedAt = &limitError{ErrMetricLimit, s.cardinalityLocked(mn)}, now
	}
	if s.explained.Metric != mn.name {
		return &limitError{ErrMetricLimit, Cardinality{Metric: mn.name, Series: int(mn.series.Load())}}
	}
	return s.explained
}

const (
	// maxRejected bounds the series that rejected stores.
	maxRejected = 4096
	// rejectedFor is how long a rejection by a limit counts without another one, in ms:
	// longer than senders usually wait between two pushes.
	rejectedFor = 60_000
)

// rejected stores which series sent samples that the store rejected: as too old, by a
// clock that is hours late or from a queue, or by a limit. A result without them is
// not complete.
type rejected struct {
	unlisted prometheus.Counter // rejections that found no room

	mu      sync.Mutex // guards what follows
	series  map[uint64]*rejectedSeries
	spaces  map[string]int // series of each namespace
	names   map[string]int // series of each metric
	expired int64          // when all were looked at last, in ms; not for each of a flood
	last    rejectedSeries // the last that found no room
}

func newRejected() rejected {
	return rejected{unlisted: prometheus.NewCounter(prometheus.CounterOpts{}), series: map[uint64]*rejectedSeries{}, spaces: map[string]int{}, names: map[string]int{}}
}

type rejectedSeries struct {
	lset  labels.Labels
	why   error
	until int64 // ms
}

// rejectTooOld returns the error for a sample, and stores its series.
func (a *Appender) rejectTooOld(lset labels.Labels, in ring.Sample) error {
	o := &a.s.opts
	a.counts[Rejected]++
	a.rejected(lset, in, ErrTooOld, o.Retention.Milliseconds())
	return fmt.Errorf("%w: %s, and samples are kept for %s", ErrTooOld,
		time.UnixMilli(in.T).UTC().Format(time.RFC3339Nano), o.Retention)
}

// namespaceOf returns the namespace whose share a series takes.
func namespaceOf(lset labels.Labels) string {
	return cmp.Or(lset.Get("namespace"), lset.Get("k8s_namespace_name"))
}

// rejected stores that a sample was rejected, which counts for so long (ms), and marks
// the selections that would have the series: their readers find the first rejection as
// they find a push.
func (a *Appender) rejected(lset labels.Labels, in ring.Sample, why error, last int64) {
	list := &a.s.rejected
	if !addsLoad(in) {
		list = &a.s.rejectedZeros
	}
	if in.Stale() || !list.add(lset, why, a.now, a.now+last) {
		return
	}
	a.s.mu.Lock()
	all := a.s.selections.matching(lset)
	a.s.mu.Unlock()
	a.touch(all)
}

// add stores a rejection; first is false if one of the same series counts already.
func (r *rejected) add(lset labels.Labels, why error, now, until int64) (first bool) {
	hash := lset.Hash()
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.series[hash]
	if one == nil {
		if len(r.series) >= maxRejected {
			r.expireLocked(now)
		}
		if len(r.series) >= maxRejected && !r.makeRoomLocked(namespaceOf(lset)) {
			r.last = rejectedSeries{lset.Copy(), why, until}
			r.unlisted.Inc()
			return false
		}
		one = &rejectedSeries{lset: lset.Copy()} // lset is a part of the request
		r.series[hash] = one
		r.spaces[namespaceOf(one.lset)]++
		r.names[one.lset.Get(labels.MetricName)]++
	}
	first = one.until <= now || one.why != why //nolint:errorlint // these are never wrapped
	one.why, one.until = why, until
	return first
}

// makeRoomLocked removes a series of the namespace with most, if that is another one:
// a sender with many series must not hide the load of others.
func (r *rejected) makeRoomLocked(namespace string) bool {
	largest := namespace
	for name, n := range r.spaces {
		if n > r.spaces[largest]+1 {
			largest = name
		}
	}
	if largest == namespace {
		return false
	}
	for hash, one := range r.series {
		if namespaceOf(one.lset) == largest {
			r.removeLocked(hash, one)
			return true
		}
	}
	return false
}

func (r *rejected) removeLocked(hash uint64, one *rejectedSeries) {
	delete(r.series, hash)
	decrement(r.spaces, namespaceOf(one.lset))
	decrement(r.names, one.lset.Get(labels.MetricName))
}

func decrement(counts map[string]int, key string) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// expireLocked removes what no longer counts, once a second at most.
func (r *rejected) expireLocked(now int64) {
	if now-r.expired < 1000 {
		return
	}
	r.expired = now
	for hash, one := range r.series {
		if one.until <= now {
			r.removeLocked(hash, one)
		}
	}
}

// move adds d ms to all times: the clock was set.
func (r *rejected) move(d int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expired += d
	r.last.until += d
	for _, one := range r.series {
		one.until += d
	}
}

// Rejected returns why samples were rejected that match ms and come from a series that
// neither is live nor was under load when it was: ErrTooOld within the retention,
// ErrSeriesLimit, ErrMetricLimit or ErrNoMemory within a minute. Samples without load are
// considered if zeros count. It returns nil if there is none.
func (s *Store) Rejected(zerosCount bool, ms ...*labels.Matcher) error {
	now := s.now()
	why := s.rejected.find(s, now, ms)
	if why == nil && zerosCount {
		why = s.rejectedZeros.find(s, now, ms)
	}
	return why
}

// Unlisted reports whether load was rejected that matches ms and that Rejected does not
// consider, as far as the last series shows that found no room in its list.
func (s *Store) Unlisted(ms ...*labels.Matcher) bool {
	now := s.now()
	s.rejected.mu.Lock()
	defer s.rejected.mu.Unlock()
	return now < s.rejected.last.until && matchesAll(s.rejected.last.lset, ms)
}

// find returns why the first series was rejected that matches and counts.
func (r *rejected) find(s *Store, now int64, ms []*labels.Matcher) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expireLocked(now)
	for _, m := range ms {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual && r.names[m.Value] == 0 {
			return nil // most triggers, while one metric has too many series
		}
	}
	for _, one := range r.series {
		if one.until > now && matchesAll(one.lset, ms) && !s.counts(one.lset, now) {
			return one.why
		}
	}
	return nil
}

// counts reports whether the series with these labels is live, or had load.
func (s *Store) counts(lset labels.Labels, now int64) bool {
	ser := s.index.Get(lset, labelindex.Hash(lset))
	if ser == nil {
		return false
	}
	ser.mu.Lock()
	defer ser.mu.Unlock()
	last, ok := ser.ring.LastValue()
	return ok && (addsLoad(last) || ser.stateLocked(now, s.opts.Lookback.Milliseconds()) == Live)
}
