package store

import (
	"context"
	"math"
)

// SilentSeries is a series that has samples and is not live.
type SilentSeries struct {
	Series    *Series
	Arrived   int64   // when its newest sample arrived that is no staleness marker, in ms
	Ended     int64   // when the marker arrived, in ms; 0 if the series is late
	Interval  int64   // its push interval, in ms
	Value     float64 // the newest
	Histogram bool    // the newest sample is a native histogram, and Value is undefined
	Uncovered bool    // it had no samples for the whole window that ends with the newest
}

// SurveyOptions tell what a survey looks for.
type SurveyOptions struct {
	At          int64 // ms
	Window      int64 // how far back the reader looks, in ms; 0 for the newest sample
	Accumulates bool  // the reader adds up what is in the window
	// NewSince is from when on a series that appears is new (ms), and not one whose
	// sender was there before the store was.
	NewSince int64
	Silent   func(SilentSeries) // called for each
}

// Survey counts a selection's series by how they stand.
type Survey struct {
	Live      int
	Uncovered int   // live series without samples for the whole window
	Until     int64 // up to when all of them stand as they do if nothing changes, in ms
	Negative  bool  // some live series is below zero
}

// Survey looks at each series of the selection.
func (sel *Selection) Survey(ctx context.Context, o SurveyOptions) (Survey, error) {
	series, err := sel.all(ctx)
	if err != nil {
		return Survey{}, err
	}
	out := Survey{Until: math.MaxInt64}
	lookback := sel.s.opts.Lookback.Milliseconds()
	for _, ser := range series {
		ser.survey(&out, &o, lookback)
	}
	return out, nil
}

func (s *Series) survey(out *Survey, o *SurveyOptions, lookback int64) {
	s.mu.Lock()
	if s.ring.Len() == 0 {
		s.mu.Unlock()
		return
	}
	last := s.ring.Last()
	if silentFrom := min(s.silentFromLocked(lookback), last.T+lookback); !last.Stale() && silentFrom > o.At && !s.restored {
		out.Live++
		out.Until = min(out.Until, silentFrom)
		out.Negative = out.Negative || last.Hist == nil && last.V < 0
		if o.Window > 0 && !s.coveredLocked(o, o.At, true) {
			out.Uncovered++
		}
		s.mu.Unlock()
		return
	}
	value, ok := s.ring.LastValue()
	silent := SilentSeries{
		Series: s, Arrived: value.T + int64(s.lag), Interval: s.intervalLocked(lookback), Value: value.V, Histogram: value.Hist != nil,
	}
	if last.Stale() {
		silent.Ended = s.arrivedLocked()
	}
	silent.Uncovered = ok && o.Window > 0 && !s.coveredLocked(o, value.T, !o.Accumulates)
	s.mu.Unlock()
	if ok {
		o.Silent(silent)
	}
}

// coveredLocked reports whether the series has samples for the whole window that ends at
// a moment, or, if that counts, began in it. One missed push is no gap. What a series
// that began in the window adds up to is right while the load it took over is in the
// window as well. It is too little once it is moved forward.
func (s *Series) coveredLocked(o *SurveyOptions, at int64, begun bool) bool {
	begin := at - o.Window
	i := s.ring.Search(begin + 1)
	before := i - 1
	for before >= 0 && s.ring.At(before).Stale() {
		before--
	}
	for i < s.ring.Len() && s.ring.At(i).Stale() {
		i++
	}
	if i == s.ring.Len() {
		return true // there is no sample in the window, which the evaluation shows
	}
	first := s.ring.Time(i)
	gap := max(s.intervalLocked(o.Window)*5/2, minSilence)
	switch {
	case before >= 0:
		return !o.Accumulates || first-s.ring.Time(before) <= gap
	case first-begin <= gap || begun && s.flags&flagBegun != 0:
		return true
	}
	return begun && s.flags&flagEarlier == 0 && first >= o.NewSince
}
