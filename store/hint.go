package store

import "github.com/prometheus/prometheus/model/histogram"

// Counters of native histograms say of each sample if there was no reset since
// the one before, as those of Prometheus' TSDB do: the engine need not compare
// all buckets once more for each query, and can tell where it adds up counters of
// which only some were reset. That there was one is for the engine to find out.

// hinted returns h as the sample after prev, which is nil if that is none.
func hinted(prev, h *histogram.FloatHistogram) *histogram.FloatHistogram {
	if h.CounterResetHint == histogram.GaugeType {
		return h
	}
	h = withHint(h, histogram.UnknownCounterReset)
	if prev == nil || prev.CounterResetHint == histogram.GaugeType || h.DetectReset(prev) {
		return h
	}
	return withHint(h, histogram.NotCounterReset)
}

// unhintLocked takes back what the i-th sample, if it is one, says of the sample
// before: another has come in between.
func (s *Series) unhintLocked(i int) {
	if i >= s.ring.len() {
		return
	}
	if in := s.ring.at(i); in.hist != nil && in.hist.CounterResetHint != histogram.GaugeType {
		in.hist = withHint(in.hist, histogram.UnknownCounterReset)
		s.ring.set(i, in)
	}
}

// withHint returns a histogram that shares its buckets with h, which others may
// be reading.
func withHint(h *histogram.FloatHistogram, hint histogram.CounterResetHint) *histogram.FloatHistogram {
	if h.CounterResetHint == hint {
		return h
	}
	changed := *h
	changed.CounterResetHint = hint
	return &changed
}
