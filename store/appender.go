package store

import (
	"context"
	"errors"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

// Outcome is what became of an appended sample.
type Outcome uint8

// The outcomes of an append. All but Refused and Dropped leave the sample in
// the store; a Duplicate was there already.
const (
	Stored    Outcome = iota
	Future            // its time lay in the future; stored at the time of arrival
	Late              // older than the newest sample; stored in its place
	Duplicate         // a sample of that time is there already, which stays
	Dropped           // a delta of which a part, or all, may have been counted
	Refused           // see the error
	outcomes
)

var outcomeNames = [outcomes]string{"stored", "future", "late", "duplicate", "dropped", "refused"}

// String returns the outcome as /metrics names it.
func (o Outcome) String() string { return outcomeNames[o] }

// Appender appends the samples of one request. All of them arrive at the same
// moment. It is not safe for concurrent use.
//
// Samples go to series by their labels, or, without looking those up, to series
// that were Held before.
type Appender struct {
	s       *Store
	now     int64
	mint    int64 // samples older than this are refused
	start   int64 // when the counters appended now were zero, in ms; 0 if not known
	last    *Series
	touched []*Watch
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
	a.start = 0
	a.last = nil
}

// Arrival returns when the request arrived, in ms.
func (a *Appender) Arrival() int64 { return a.now }

// Since says when the counters that are appended from now on were zero, in ms;
// 0 is for other values, and for counters of which that isn't known.
//
// What a sender calls the start may be the first value it saw of somebody else's
// counter, which was not zero. It sends that value as well, at that very time.
// If the store was not there yet to take it, the start means nothing.
func (a *Appender) Since(start int64) {
	if start < a.s.began.Load() {
		start = 0
	}
	a.start = start
}

// Held returns the series with these labels, or nil if there is none. It is
// for AppendTo and the like, and may be freed at any time.
func (a *Appender) Held(lset labels.Labels) *Series {
	return a.s.stripes.get(hashOf(lset), lset, &a.s.index)
}

// Last returns the series that the last sample went to which came with its labels,
// or nil if that one was refused or ended a series that is not there. It may be
// freed at any time, as one that is Held.
func (a *Appender) Last() *Series { return a.last }

// AppendTo is Append to a series that was Held. It is the hot path. After
// ErrFreed nothing was stored.
func (a *Appender) AppendTo(ser *Series, t int64, v float64) (Outcome, error) {
	return a.counted(a.to(ser, sample{t: t, v: v}, false))
}

// AddTo is Add to a series that was Held. After ErrFreed nothing was stored.
func (a *Appender) AddTo(ser *Series, t int64, delta float64) (Outcome, error) {
	return a.counted(a.to(ser, sample{t: t, v: delta}, true))
}

func (a *Appender) counted(out Outcome, err error) (Outcome, error) {
	if err != ErrFreed { //nolint:errorlint // to returns it as it is, once per sample
		a.counts[out]++
	}
	return out, err
}

// Append stores a float at t (ms). lset must hold __name__; it is not kept.
func (a *Appender) Append(lset labels.Labels, t int64, v float64) (Outcome, error) {
	return a.append(lset, sample{t: t, v: v}, false)
}

// AppendHistogram stores a native histogram, which the caller must not change
// afterwards.
func (a *Appender) AppendHistogram(lset labels.Labels, t int64, h *histogram.FloatHistogram) (Outcome, error) {
	return a.append(lset, sample{t: t, hist: h}, false)
}

// Add stores the series' running total after a delta.
func (a *Appender) Add(lset labels.Labels, t int64, delta float64) (Outcome, error) {
	return a.append(lset, sample{t: t, v: delta}, true)
}

// AddHistogram stores the series' running total after a delta histogram, which
// the caller must not change afterwards.
func (a *Appender) AddHistogram(lset labels.Labels, t int64, delta *histogram.FloatHistogram) (Outcome, error) {
	return a.append(lset, sample{t: t, hist: delta}, true)
}

// End stores a staleness marker at t: the series has ended. A series that the
// store does not hold is not made.
func (a *Appender) End(lset labels.Labels, t int64) (Outcome, error) {
	ser := a.Held(lset)
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
	found, err := a.s.find(context.Background(), ms...)
	if err != nil {
		return err
	}
	for _, ser := range found {
		if ser.set.len() != lset.Len()+1 {
			continue
		}
		if _, err := a.end(ser, t); err != nil {
			return err
		}
	}
	return nil
}

func (a *Appender) end(ser *Series, t int64) (Outcome, error) {
	out, err := a.to(ser, sample{t: t, v: staleNaN}, false)
	if errors.Is(err, ErrFreed) {
		err = nil // it had ended long ago
	}
	a.counts[out]++
	return out, err
}

func (a *Appender) append(lset labels.Labels, in sample, delta bool) (Outcome, error) {
	hash := hashOf(lset)
	a.last = nil
	if in.t < a.mint {
		// Before the series is made: a refused sample must not cost one.
		a.counts[Refused]++
		return Refused, a.tooOld(lset, in)
	}
	for {
		ser := a.s.stripes.get(hash, lset, &a.s.index)
		if ser == nil {
			var err error
			if ser, err = a.s.create(lset, hash); err != nil {
				a.counts[Refused]++
				return Refused, err
			}
		}
		out, err := a.to(ser, in, delta)
		if errors.Is(err, ErrFreed) {
			continue
		}
		a.counts[out]++
		a.last = ser
		return out, err
	}
}

// to appends to a known series. After ErrFreed nothing was stored.
func (a *Appender) to(ser *Series, in sample, delta bool) (Outcome, error) {
	var ahead uint32
	start := a.start
	if in.t > a.now {
		start = 0                                       // by the same wrong clock
		ahead = uint32(min(in.t-a.now, math.MaxUint32)) //nolint:gosec // bounded right here
		in.t = a.now
	}
	if in.t < a.mint {
		lset, _ := a.s.index.labels(ser, &labels.ScratchBuilder{}) // none if it was freed
		return Refused, a.tooOld(lset, in)
	}
	ser.mu.Lock()
	out, err := a.toLocked(ser, in, ahead, start, delta)
	ser.mu.Unlock()
	return out, err
}

func (a *Appender) toLocked(ser *Series, in sample, ahead uint32, start int64, delta bool) (Outcome, error) {
	if ser.freed {
		return Dropped, ErrFreed
	}
	if delta {
		var ok bool
		if in, ok = ser.addLocked(in, ahead, start); !ok {
			return Dropped, nil
		}
		if ser.ring.len() > 0 {
			start = 0 // the sender's; the running total goes on
		}
	}
	out, evicted := ser.appendLocked(&a.s.opts, a.now, in, ahead, start)
	if evicted {
		a.evicted++
	}
	ser.silent = false
	for _, w := range ser.watchesLocked() {
		if w.mark() {
			a.touched = append(a.touched, w)
		}
	}
	return out, nil
}

// Commit tells the watches that the appended samples concern. Samples are
// visible to queries from the moment they were appended.
func (a *Appender) Commit() {
	for i, w := range a.touched {
		w.changed()
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
