package store

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/labelindex"
)

// Options are a store's bounds. Zero means the default in brackets.
type Options struct {
	Retention           time.Duration // how long samples are stored (2m)
	MaxRetention        time.Duration // the same for the longest window of a selection (15m)
	Lookback            time.Duration // how long a single sample represents its series (the retention)
	MaxSeries           int           // all series (1,000,000)
	MaxSeriesPerMetric  int           // series of one metric name (MaxSeries)
	MaxSamplesPerSeries int           // samples of one series; the oldest is dropped (1024)

	Full func() bool // reports whether there is too little memory for new series (never)

	Now        func() time.Time      // the store's clock (time.Now)
	Elapsed    func() time.Duration  // a clock that nobody sets (the monotonic one of Now)
	Registerer prometheus.Registerer // for the store's own metrics (none)
}

func (o *Options) setDefaults() {
	o.Retention = cmp.Or(o.Retention, 2*time.Minute)
	o.MaxRetention = cmp.Or(o.MaxRetention, 15*time.Minute)
	o.Lookback = min(cmp.Or(o.Lookback, o.Retention), o.Retention)
	o.MaxSeries = cmp.Or(o.MaxSeries, 1_000_000)
	o.MaxSeriesPerMetric = cmp.Or(o.MaxSeriesPerMetric, o.MaxSeries)
	o.MaxSamplesPerSeries = cmp.Or(o.MaxSamplesPerSeries, 1024)
	if o.Full == nil {
		o.Full = func() bool { return false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Store stores series. Its methods may be called concurrently.
type Store struct {
	opts          Options
	clock         wallClock
	began         atomic.Int64 // when the store was made, in ms
	metrics       *metrics
	index         *labelindex.Index[Series] // written with mu locked
	described     described
	rejected      rejected
	rejectedZeros rejected // without load; apart, so that they do not hide the others
	deltas        deltas
	sweeping      sync.Mutex                  // locked during a sweep; guards sweptSteps
	swept         atomic.Pointer[seriesStats] // of the last sweep, for readers that must not block
	sweptSteps    int64                       // of the clock, as of the last sweep

	mu          sync.Mutex // guards what follows, and that series, index and selections agree
	count       atomic.Int64
	names       map[string]*metricName
	selections  selectionIndex
	explained   *limitError // the last explanation of a metric at its limit, and when, in ms
	explainedAt int64
	selected    atomic.Int64 // series that selections store, counted once for each
}

// metricName is what the store stores of one __name__.
type metricName struct {
	name string

	// interval is the longest push interval among the live series, in ms, as of the last
	// sweep; 0 while none is known. A series whose own is not known yet uses it: a pod
	// that crashes right after its first push must not count for the whole lookback.
	interval atomic.Uint32
	longest  uint32 // of the current sweep; guarded by Store.sweeping

	series atomic.Int32 // changed under Store.mu
}

// New returns an empty store.
func New(o Options) *Store {
	o.setDefaults()
	s := &Store{
		opts:          o,
		index:         labelindex.New(func(ser *Series) *labelindex.Entry { return &ser.entry }),
		names:         map[string]*metricName{},
		described:     described{families: map[string]metadata.Metadata{}},
		deltas:        deltas{senders: map[uint64][]deltaSeries{}},
		rejected:      newRejected(),
		rejectedZeros: newRejected(),
		selections:    selectionIndex{},
	}
	s.swept.Store(&seriesStats{})
	s.clock.zero = s.opts.Now()
	s.began.Store(s.clock.zero.UnixMilli())
	s.clock.offset.Store(s.began.Load())
	if s.opts.Elapsed != nil {
		s.clock.offset.Add(-s.opts.Elapsed().Milliseconds())
	}
	s.metrics = newMetrics(o.Registerer, s)
	return s
}

// SeriesCount returns how many series the store stores, ended ones included.
func (s *Store) SeriesCount() int { return int(s.count.Load()) }

// LargestMetric returns the most series that any one metric name had at the last
// sweep.
func (s *Store) LargestMetric() int { return int(s.swept.Load().largest) }

// create is the slow path of an append: the first sample of a series.
func (s *Store) create(lset labels.Labels, hash uint32) (*Series, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ser := s.index.Get(lset, hash); ser != nil {
		return ser, nil // another append was faster
	}
	ser := &Series{}
	if err := s.addLocked(ser, lset, hash); err != nil {
		return nil, err
	}
	return ser, nil
}

// addLocked makes a new series findable, unless there may be no more.
func (s *Store) addLocked(ser *Series, lset labels.Labels, hash uint32) error {
	name := lset.Get(labels.MetricName)
	if err := s.admitLocked(name); err != nil {
		return err
	}
	mn := s.names[name]
	if mn == nil {
		mn = &metricName{name: strings.Clone(name)} // the name is a part of the labels' text
		s.names[mn.name] = mn
	}
	ser.name, ser.entry = mn, s.index.Intern(lset, hash)
	all := s.selections.matching(lset)
	for _, sel := range all {
		sel.addLocked(ser)
	}
	ser.setSelectionsLocked(all) // no other goroutine has the series yet
	mn.series.Add(1)
	s.count.Add(1)
	s.index.Add(ser)
	s.metrics.created.Inc()
	return nil
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
