package ring

import "github.com/prometheus/prometheus/model/histogram"

// Each sample of a native histogram's counter states in its reset hint whether there
// was no reset since the sample before, as in Prometheus' TSDB. So the engine need
// not compare all buckets again for each query, and detects sums of counters of which
// only some were reset. Whether there was a reset, the engine finds out itself.

// WithResetHint returns h as the sample after prev, which is nil if there is none.
func WithResetHint(prev, h *histogram.FloatHistogram) *histogram.FloatHistogram {
	if h.CounterResetHint == histogram.GaugeType {
		return h
	}
	h = withHint(h, histogram.UnknownCounterReset)
	if prev == nil || prev.CounterResetHint == histogram.GaugeType || h.DetectReset(prev) {
		return h
	}
	return withHint(h, histogram.NotCounterReset)
}

// ClearResetHint makes the reset hint of the i-th sample, if it exists, unknown:
// another sample was inserted before it.
func (r *Ring) ClearResetHint(i int) {
	if i >= r.Len() {
		return
	}
	if in := r.At(i); in.Hist != nil && in.Hist.CounterResetHint != histogram.GaugeType {
		in.Hist = withHint(in.Hist, histogram.UnknownCounterReset)
		r.Set(i, in)
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
