package store

import (
	"context"
	"errors"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/labelindex"
	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

// Outcome is what became of an appended sample.
type Outcome uint8

// The outcomes of an append. After all but Rejected and Dropped the store contains the
// sample; a Duplicate was there already.
const (
	Stored     Outcome = iota
	Future             // its time was in the future; stored at the time of arrival
	OutOfOrder         // older than the newest sample; stored in its place
	Duplicate          // a sample of that time exists, and stays
	Dropped            // a delta of which a part, or all, may have been counted
	Rejected           // see the error
	outcomes
)

var outcomeNames = [outcomes]string{"stored", "future", "late", "duplicate", "dropped", "refused"}

// String returns the outcome as /metrics names it.
func (o Outcome) String() string { return outcomeNames[o] }

// Appender appends the samples of one request. All of them arrive at the same
// moment. It is not safe for concurrent use.
//
// A sample names its series by labels, or, without a look-up, as a series that Lookup
// returned.
type Appender struct {
	s       *Store
	now     int64
	mint    int64   // samples older than this are rejected
	claimed int64   // the start of the counters appended now, as the sender reports it, in ms; or 0
	sender  uint64  // of the samples appended now; 0 if not known
	delta   *Series // to be noted among the deltas
	last    *Series
	touched []*Selection
	counts  [outcomes]int
	evicted int
}

// Appender returns an appender for one request. The caller must Commit it.
func (s *Store) Appender() *Appender {
	a := &Appender{s: s}
	a.Reset()
	return a
}

// Reset makes a committed appender ready for another request, arriving now.
func (a *Appender) Reset() {
	a.now = a.s.now()
	a.mint = a.now - a.s.opts.Retention.Milliseconds()
	a.claimed, a.sender = 0, 0
	a.last = nil
}

// Arrival returns when the request arrived, in ms.
func (a *Appender) Arrival() int64 { return a.now }

// Since sets when the counters that are appended from now on were zero, in ms; 0 is for
// other values, and for counters whose start is unknown.
//
// The start that a sender reports may be the time of the first value it saw of another
// process' counter, which was not zero. It sends that value as well, with that time. If
// the store did not exist then, it ignores the start.
func (a *Appender) Since(start int64) { a.claimed = start }

// Lookup returns the series with these labels, or nil if there is none. It is for
// AppendTo and AddTo, and may be freed at any time.
func (a *Appender) Lookup(lset labels.Labels) *Series {
	return a.s.index.Get(lset, labelindex.Hash(lset))
}

// Last returns the series of the last sample that came with labels, or nil if that one
// was rejected or ended an unknown series. It may be freed at any time.
func (a *Appender) Last() *Series { return a.last }

// AppendTo is Append to a series from Lookup. It is the hot path. After ErrFreed
// nothing was stored.
func (a *Appender) AppendTo(ser *Series, t int64, v float64) (Outcome, error) {
	return a.to(ser, ring.Sample{T: t, V: v}, false)
}

// AddTo is Add to a series from Lookup. After ErrFreed nothing was stored.
func (a *Appender) AddTo(ser *Series, t int64, delta float64) (Outcome, error) {
	return a.to(ser, ring.Sample{T: t, V: delta}, true)
}

// Append stores a float at t (ms). lset must contain __name__; it is not retained.
func (a *Appender) Append(lset labels.Labels, t int64, v float64) (Outcome, error) {
	return a.append(lset, ring.Sample{T: t, V: v}, false)
}

// AppendHistogram stores a native histogram, which the caller must not change
// afterwards.
func (a *Appender) AppendHistogram(lset labels.Labels, t int64, h *histogram.FloatHistogram) (Outcome, error) {
	return a.append(lset, ring.Sample{T: t, Hist: h}, false)
}

// Add stores the series' running total after a delta.
func (a *Appender) Add(lset labels.Labels, t int64, delta float64) (Outcome, error) {
	return a.append(lset, ring.Sample{T: t, V: delta}, true)
}

// AddHistogram stores the series' running total after a delta histogram, which
// the caller must not change afterwards.
func (a *Appender) AddHistogram(lset labels.Labels, t int64, delta *histogram.FloatHistogram) (Outcome, error) {
	return a.append(lset, ring.Sample{T: t, Hist: delta}, true)
}

// End stores a staleness marker at t: the series has ended. It creates no series.
func (a *Appender) End(lset labels.Labels, t int64) (Outcome, error) {
	ser := a.Lookup(lset)
	if a.last = ser; ser == nil {
		a.counts[Dropped]++
		return Dropped, nil
	}
	return a.end(ser, t)
}

// EndVariants ends every series that has exactly the labels of lset and one
// more, named label: the buckets of a histogram, the quantiles of a summary.
// A marker for such a metric comes without bounds, so they must be looked up.
func (a *Appender) EndVariants(lset labels.Labels, label string, t int64) error {
	ms := make([]*labels.Matcher, 0, lset.Len()+1)
	lset.Range(func(l labels.Label) {
		ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value))
	})
	ms = append(ms, labels.MustNewMatcher(labels.MatchNotEqual, label, ""))
	found, err := a.s.index.Find(context.Background(), ms...)
	if err != nil {
		return err
	}
	for _, ser := range found {
		if ser.entry.Set.Len() != lset.Len()+1 {
			continue
		}
		if _, err := a.end(ser, t); err != nil {
			return err
		}
	}
	return nil
}

func (a *Appender) end(ser *Series, t int64) (Outcome, error) {
	out, err := a.to(ser, ring.Sample{T: t, V: ring.StaleNaN}, false)
	if errors.Is(err, ErrFreed) {
		a.counts[out]++
		err = nil // it had ended long ago
	}
	return out, err
}

func (a *Appender) append(lset labels.Labels, in ring.Sample, delta bool) (out Outcome, err error) {
	a.last = nil
	if in.T < a.mint {
		// Before the series is created: a rejected sample must not cost one.
		return Rejected, a.rejectTooOld(lset, in)
	}
	hash := labelindex.Hash(lset)
	ser := a.s.index.Get(lset, hash)
	for {
		if ser == nil {
			if ser, err = a.s.create(lset, hash); err != nil {
				a.counts[Rejected]++
				a.rejected(lset, in, errors.Unwrap(err), rejectedFor) // the limit, without its figures
				return Rejected, err
			}
		}
		if out, err = a.to(ser, in, delta); !errors.Is(err, ErrFreed) {
			break
		}
		ser = nil // create waits until the index is without it
	}
	a.last = ser
	return out, err
}

// to appends to a known series. After ErrFreed nothing was stored.
func (a *Appender) to(ser *Series, in ring.Sample, delta bool) (Outcome, error) {
	var ahead uint32
	start := a.claimed
	if start < a.s.began.Load() {
		start = 0
	}
	if in.T > a.now {
		start = 0                                       // from the same wrong clock
		ahead = uint32(min(in.T-a.now, math.MaxUint32)) //nolint:gosec // bounded right here
		in.T = a.now
	}
	if in.T < a.mint {
		lset, _ := a.s.index.Labels(ser, &labels.ScratchBuilder{}) // none if it was freed
		return Rejected, a.rejectTooOld(lset, in)
	}
	ser.mu.Lock()
	out, err := a.toLocked(ser, in, ahead, start, delta)
	ser.mu.Unlock()
	if a.delta != nil {
		a.addDelta()
	}
	return out, err
}

func (a *Appender) toLocked(ser *Series, in ring.Sample, ahead uint32, start int64, delta bool) (Outcome, error) {
	if ser.freed {
		return Dropped, ErrFreed
	}
	if delta {
		var ok bool
		if in, ok = ser.addLocked(in, ahead, start); !ok {
			a.counts[Dropped]++
			return Dropped, nil
		}
		if ser.ring.Len() > 0 {
			start = 0 // the sender's; the running total goes on
		}
	}
	first := ser.ring.Len() == 0
	out := ser.appendLocked(a, in, ahead, start)
	a.counts[out]++
	if first {
		ser.flags |= a.origin(ser.ring.Len() > 1, in.T, delta)
	}
	if delta && a.sender != 0 && ser.flags&flagDelta == 0 {
		ser.flags |= flagDelta
		a.delta = ser
	}
	a.touchLocked(ser)
	return out, nil
}

// touchLocked notes that the selections of a series are to be notified.
func (a *Appender) touchLocked(ser *Series) {
	ser.silent = false
	a.touch(ser.selectionsLocked())
}

// touch notes that selections are to be notified.
func (a *Appender) touch(all []*Selection) {
	for _, sel := range all {
		if sel.mark() {
			a.touched = append(a.touched, sel)
		}
	}
}

// origin returns what the first sample of a series tells about the series' beginning.
func (a *Appender) origin(zero bool, t int64, delta bool) uint8 {
	switch {
	case delta, zero, a.claimed == t:
		return flagBegun
	case a.claimed > 0 && a.claimed < t:
		return flagEarlier
	}
	return 0
}

// Commit notifies the selections of the appended samples. Queries can read a sample from
// its append on.
func (a *Appender) Commit() {
	a.repeat()
	a.sender = 0
	for i, sel := range a.touched {
		sel.changed()
		a.touched[i] = nil
	}
	a.touched = a.touched[:0]
	for o, n := range a.counts {
		if n > 0 {
			a.s.metrics.samples[o].Add(float64(n))
			a.counts[o] = 0
		}
	}
	if a.evicted > 0 {
		a.s.metrics.evicted.Add(float64(a.evicted))
		a.evicted = 0
	}
}
