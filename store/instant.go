package store

import (
	"context"
	"errors"
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/labelindex"
)

// ErrHistogram: a sample is a native histogram, which an Instant does not read.
var ErrHistogram = errors.New("sample is a native histogram")

// Point is a float sample.
type Point struct {
	T int64 // ms
	F float64
}

// Instant is a selector's series as of a moment, in the order in which a Querier returns
// them. It returns what the engine reads through a Querier, without a copy of the
// samples. It is not safe for concurrent use.
type Instant struct {
	x                  *labelindex.Index[Series]
	series             []*Series
	at, mint, lookback int64
	until              int64
	lost               Loss
	read               int
}

// Instant returns the series that match ms as of at (ms).
func (s *Store) Instant(ctx context.Context, at int64, ms ...*labels.Matcher) (Instant, error) {
	found, err := s.index.Find(ctx, ms...)
	if err != nil {
		return Instant{}, err
	}
	return s.instant(s.now(), at, found), nil
}

func (s *Store) instant(now, at int64, series []*Series) Instant {
	return Instant{
		x: s.index, series: series, at: at,
		mint:     now - s.opts.Retention.Milliseconds(),
		lookback: s.opts.Lookback.Milliseconds(),
		until:    math.MaxInt64,
	}
}

// At returns the moment, in ms.
func (in *Instant) At() int64 { return in.at }

// Len returns the number of series.
func (in *Instant) Len() int { return len(in.series) }

// Has reports whether the i-th series has a label of that name.
func (in *Instant) Has(i int, name string) bool { return in.x.Label(in.series[i], name) != "" }

// Until returns the moment, in ms, up to which Last would return the same for the series
// it was called for, if nothing changes until then.
func (in *Instant) Until() int64 { return in.until }

// Lost returns which of the series read so far became silent under load.
func (in *Instant) Lost() Loss { return in.lost }

// Read returns how many samples were read so far.
func (in *Instant) Read() int { return in.read }

// Last returns the value of the i-th series; ok is false if the series is silent or
// ended, or has no sample within the lookback.
func (in *Instant) Last(i int) (v float64, ok bool, err error) {
	ser := in.series[i]
	in.read++
	ser.mu.Lock()
	defer ser.mu.Unlock()
	if ser.ring.Len() == 0 {
		return 0, false, nil
	}
	last := ser.ring.Last()
	silentFrom := int64(math.MaxInt64)
	newest := last.T <= in.at
	if !newest {
		// Newer samples do not count yet, nor does the silence after them.
		j := ser.ring.Search(in.at + 1)
		in.until = min(in.until, ser.ring.Time(j))
		if j == 0 {
			return 0, false, nil
		}
		last = ser.ring.At(j - 1)
	} else if !last.Stale() {
		silentFrom = ser.silentFromLocked(in.lookback)
	}
	expires := min(silentFrom, last.T+in.lookback)
	if last.Stale() || expires <= in.at || last.T < in.mint {
		if newest && !last.Stale() {
			in.lost.add(last)
		}
		return 0, false, nil
	}
	if last.Hist != nil {
		return 0, false, ErrHistogram
	}
	in.until = min(in.until, expires)
	return last.V, true, nil
}

// Range appends the samples of the i-th series in the window (ms) that ends at
// the moment, its start excluded, to dst. Staleness markers are left out.
func (in *Instant) Range(i int, window int64, dst []Point) ([]Point, error) {
	ser := in.series[i]
	ser.mu.Lock()
	defer ser.mu.Unlock()
	if n := ser.ring.Len(); n > 0 {
		last := ser.ring.Last()
		if last.T <= in.at && !last.Stale() && min(ser.silentFromLocked(in.lookback), last.T+in.lookback) <= in.at {
			in.lost.add(last)
		}
	}
	for j := ser.ring.Search(max(in.at-window+1, in.mint)); j < ser.ring.Len(); j++ {
		s := ser.ring.At(j)
		in.read++
		switch {
		case s.T > in.at:
			return dst, nil
		case s.Hist != nil:
			return dst, ErrHistogram
		case !value.IsStaleNaN(s.V):
			dst = append(dst, Point{s.T, s.V})
		}
	}
	return dst, nil
}
