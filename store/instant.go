package store

import (
	"context"
	"errors"
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

// ErrHistogram says that a sample is a native histogram, which an Instant does
// not read.
var ErrHistogram = errors.New("sample is a native histogram")

// Point is a float sample.
type Point struct {
	T int64 // ms
	F float64
}

// Instant is a selector's series as of a moment, in the order in which Select
// returns them. What it shows is what the engine sees through a Querier, without
// a copy of the samples. It is not safe for concurrent use.
type Instant struct {
	x                  *index
	series             []*Series
	at, mint, lookback int64
	until              int64
	lost               Loss
	read               int
}

// Instant returns the series that match ms as of at (ms).
func (s *Store) Instant(ctx context.Context, at int64, ms ...*labels.Matcher) (Instant, error) {
	found, err := s.find(ctx, ms...)
	if err != nil {
		return Instant{}, err
	}
	return s.instant(s.now(), at, found), nil
}

func (s *Store) instant(now, at int64, series []*Series) Instant {
	return Instant{
		x: &s.index, series: series, at: at,
		mint:     now - s.opts.Retention.Milliseconds(),
		lookback: s.opts.Lookback.Milliseconds(),
		until:    math.MaxInt64,
	}
}

// At returns the moment, in ms.
func (in *Instant) At() int64 { return in.at }

// Len returns the number of series.
func (in *Instant) Len() int { return len(in.series) }

// Has tells whether the i-th series has a label of that name.
func (in *Instant) Has(i int, name string) bool { return in.x.value(in.series[i], name) != "" }

// Until returns the moment, in ms, up to which Last would answer the same about
// the series it was asked about, if nothing changes until then.
func (in *Instant) Until() int64 { return in.until }

// Lost tells which of the series asked about fell silent under load.
func (in *Instant) Lost() Loss { return in.lost }

// Read returns how many samples were looked at so far.
func (in *Instant) Read() int { return in.read }

// Last returns the value of the i-th series; ok is false if the series is over
// or has no sample within the lookback.
func (in *Instant) Last(i int) (v float64, ok bool, err error) {
	ser := in.series[i]
	in.read++
	ser.mu.Lock()
	defer ser.mu.Unlock()
	if ser.ring.len() == 0 {
		return 0, false, nil
	}
	last := ser.ring.last()
	over := int64(math.MaxInt64)
	newest := last.t <= in.at
	if !newest {
		// What is newer than the moment has no say yet, and nothing that follows
		// from silence afterwards.
		j := ser.ring.search(in.at + 1)
		in.until = min(in.until, ser.ring.time(j))
		if j == 0 {
			return 0, false, nil
		}
		last = ser.ring.at(j - 1)
	} else if !last.stale() {
		over = ser.overAtLocked(in.lookback)
	}
	expires := min(over, last.t+in.lookback)
	if last.stale() || expires <= in.at || last.t < in.mint {
		if newest && !last.stale() {
			in.lost.add(last)
		}
		return 0, false, nil
	}
	if last.hist != nil {
		return 0, false, ErrHistogram
	}
	in.until = min(in.until, expires)
	return last.v, true, nil
}

// Range appends the samples of the i-th series in the window (ms) that ends at
// the moment, its start excluded, to dst. Staleness markers are left out.
func (in *Instant) Range(i int, window int64, dst []Point) ([]Point, error) {
	ser := in.series[i]
	ser.mu.Lock()
	defer ser.mu.Unlock()
	if n := ser.ring.len(); n > 0 {
		last := ser.ring.last()
		if last.t <= in.at && !last.stale() && min(ser.overAtLocked(in.lookback), last.t+in.lookback) <= in.at {
			in.lost.add(last)
		}
	}
	for j := ser.ring.search(max(in.at-window+1, in.mint)); j < ser.ring.len(); j++ {
		s := ser.ring.at(j)
		in.read++
		switch {
		case s.t > in.at:
			return dst, nil
		case s.hist != nil:
			return dst, ErrHistogram
		case !value.IsStaleNaN(s.v):
			dst = append(dst, Point{s.t, s.v})
		}
	}
	return dst, nil
}
