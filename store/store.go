package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
)

// Refusals of an append. They come wrapped with the figures; nothing that the
// store holds is touched by a refused append.
var (
	// ErrTooOld: the sample is older than the retention.
	ErrTooOld = errors.New("sample is older than the retention")
	// ErrSeriesLimit: a new series would exceed Options.MaxSeries.
	ErrSeriesLimit = errors.New("series limit reached")
	// ErrMetricLimit: a new series would exceed Options.MaxSeriesPerMetric.
	ErrMetricLimit = errors.New("series limit of the metric reached")
	// ErrNoMemory: there is too little memory for a new series.
	ErrNoMemory = errors.New("memory for new series has run out")
	// ErrFreed: the series was taken out of the store after it was Held.
	ErrFreed = errors.New("series was freed")
)

// fullError is why there is no new series. Its text is made if somebody reads it:
// of a thousand refusals one is shown.
type fullError struct {
	limit error
	held  int // series
}

func (e *fullError) Error() string { return fmt.Sprintf("%s: %d series are held", e.limit, e.held) }

func (e *fullError) Unwrap() error { return e.limit }

// Options are a store's bounds. Zero means the default in brackets.
type Options struct {
	Retention           time.Duration // how long samples are kept (2m)
	Lookback            time.Duration // how long a single sample stands for its series (the retention)
	MaxSeries           int           // series in all (1,000,000)
	MaxSeriesPerMetric  int           // series of one metric name (MaxSeries)
	MaxSamplesPerSeries int           // samples of one series; the oldest goes first (1024)

	Full func() bool // whether memory is too short for new series (never)

	Now        func() time.Time      // the store's clock (time.Now)
	Elapsed    func() time.Duration  // one that nobody sets (the monotonic one of Now)
	Registerer prometheus.Registerer // where the store's own metrics go (nowhere)
}

func (o *Options) setDefaults() {
	if o.Retention <= 0 {
		o.Retention = 2 * time.Minute
	}
	if o.Lookback <= 0 || o.Lookback > o.Retention {
		o.Lookback = o.Retention
	}
	if o.MaxSeries <= 0 {
		o.MaxSeries = 1_000_000
	}
	if o.MaxSeriesPerMetric <= 0 {
		o.MaxSeriesPerMetric = o.MaxSeries
	}
	if o.MaxSamplesPerSeries <= 0 {
		o.MaxSamplesPerSeries = 1024
	}
	if o.Full == nil {
		o.Full = func() bool { return false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Store holds series. Its methods may be called concurrently.
type Store struct {
	opts       Options
	clock      wallClock
	began      atomic.Int64 // when the store was made, in ms
	metrics    *metrics
	index      index
	stripes    stripes
	described  described
	overdue    overdue
	refs       refs
	sweeping   sync.Mutex // held for the length of a sweep; guards sweptSteps
	swept      census     // by the last sweep
	sweptSteps int64      // of the clock, that sweeps have seen

	mu      sync.Mutex // guards what follows, and that series, index and watches agree
	lastRef ref
	count   int
	names   map[string]*metricName
	watches watchIndex
	blamed  blamed
	kept    int // series that are kept at hand for selectors, counted for each
}

// metricName is what the store knows of one __name__.
type metricName struct {
	name string

	// interval is the longest push interval among the live series, in ms, as of
	// the last sweep; 0 while none is known. A series whose own is not known yet
	// goes by it: a pod that crashes right after its first push must not count
	// for the whole lookback.
	interval atomic.Uint32
	longest  uint32 // what a running sweep has found so far; guarded by Store.sweeping

	series atomic.Int32 // changed under Store.mu
}

// New returns an empty store.
func New(o Options) *Store {
	o.setDefaults()
	s := &Store{
		opts:      o,
		index:     index{names: map[string]map[string]uint32{}},
		refs:      refs{pages: map[ref]*page{}},
		names:     map[string]*metricName{},
		described: described{families: map[string]metadata.Metadata{}},
		overdue:   overdue{series: map[uint64]overdueSeries{}},
		watches:   newWatchIndex(),
	}
	s.clock.zero = s.opts.Now()
	s.began.Store(s.clock.zero.UnixMilli())
	s.clock.offset.Store(s.began.Load())
	if s.opts.Elapsed != nil {
		s.clock.offset.Add(-s.opts.Elapsed().Milliseconds())
	}
	s.metrics = newMetrics(o.Registerer, s)
	return s
}

// SeriesCount returns how many series the store holds, ended ones included.
func (s *Store) SeriesCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// MaxSeries returns the most series that the store holds.
func (s *Store) MaxSeries() int { return s.opts.MaxSeries }

// LargestMetric returns the most series that any one metric name had at the last
// sweep.
func (s *Store) LargestMetric() int { return int(s.swept.largest.Load()) }

// MaxSeriesPerMetric returns the most series that the store holds of one name.
func (s *Store) MaxSeriesPerMetric() int { return s.opts.MaxSeriesPerMetric }

// create is the slow path of an append: the first sample of a series.
func (s *Store) create(lset labels.Labels, hash uint32) (*Series, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ser := s.stripes.get(hash, lset, &s.index); ser != nil {
		return ser, nil // somebody was faster
	}
	name := lset.Get(labels.MetricName)
	if s.count >= s.opts.MaxSeries {
		s.metrics.refusedTotal.Inc()
		return nil, &fullError{ErrSeriesLimit, s.count}
	}
	mn := s.names[name]
	if mn != nil && int(mn.series.Load()) >= s.opts.MaxSeriesPerMetric {
		s.metrics.refusedMetric.Inc()
		return nil, s.blameLocked(mn)
	}
	if s.opts.Full() {
		s.metrics.refusedMemory.Inc()
		return nil, &fullError{ErrNoMemory, s.count}
	}
	mn = s.nameLocked(name)
	mn.series.Add(1)
	s.count++
	if s.lastRef == math.MaxUint32 {
		s.renumberLocked()
	}
	s.lastRef++
	ser := &Series{ref: s.lastRef, hash: hash, set: s.index.intern(lset), name: mn}
	ws := s.watches.matching(lset)
	for _, w := range ws {
		if w.kept != nil {
			w.kept.addLocked(ser)
		}
	}
	ser.setWatchesLocked(ws) // nobody else knows the series yet
	// The series must be findable by its ref before the index names it.
	s.refs.put(ser)
	s.stripes.put(ser)
	s.index.add(ser.set, ser.ref)
	s.metrics.created.Inc()
	return ser, nil
}

func (s *Store) nameLocked(name string) *metricName {
	mn := s.names[name]
	if mn == nil {
		mn = &metricName{name: strings.Clone(name)} // the name is a part of the labels' text
		s.names[mn.name] = mn
	}
	return mn
}

// Run sweeps until ctx is done.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.Sweep()
		}
	}
}
