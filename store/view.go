package store

import (
	"math"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

// View is a moment, and how series are shown then. A View is not changed while it
// is in use.
type View struct {
	At int64 // ms
	// AsOf shows each series as it stood at that moment by the arrival of its samples,
	// which have the times of their arrival. Otherwise the view is of now.
	AsOf bool
	// Carry are series that are shown as live whatever became of them: their samples
	// are moved forward by the time of their silence.
	Carry map[*Series]struct{}
	// Without are series that are not shown.
	Without map[*Series]struct{}
	// Accumulates tells of which functions over a window (PromQL's names) the samples
	// of series that are no longer live count as well. Others don't see these series.
	Accumulates func(function string) bool
}

// lagTolerance is by how much, in ms, the lags of a series' samples differ without an
// effect on which of them had arrived at a moment. The series stores the lag of the
// newest alone, so that of older ones is not known exactly: without it, a view as of a
// request's arrival lacks some of the samples of that request.
const lagTolerance = 100

// frame is what a view shows of a series: the first n samples, their times moved
// by shift ms.
type frame struct {
	n     int
	shift int64
	live  bool
	end   int64 // when the series became late, in the view's times, if it is neither live nor ended
}

// frameLocked returns what the view shows of the series.
func (v *View) frameLocked(s *Series, lookback int64) (f frame) {
	if s.ring.Len() == 0 {
		return f
	}
	if len(v.Without) > 0 {
		if _, out := v.Without[s]; out {
			return f
		}
	}
	if v.AsOf {
		f.shift = int64(s.lag)
		f.n = s.ring.Search(v.At + lagTolerance - f.shift + 1)
		for f.n > 0 && s.ring.Time(f.n-1) > v.At-f.shift && s.ring.At(f.n-1).Stale() {
			f.n-- // the series had not ended yet
		}
		if f.n > 0 {
			f.shift = min(f.shift, v.At-s.ring.Time(f.n-1))
		}
	} else {
		f.n = s.ring.Search(v.At + 1)
	}
	if len(v.Carry) > 0 {
		if _, carried := v.Carry[s]; carried {
			return v.carryLocked(s, f)
		}
	}
	if f.n == 0 {
		return f
	}
	last := s.ring.At(f.n - 1)
	switch {
	case last.Stale():
	case f.n < s.ring.Len() && !v.AsOf: // what follows from silence afterwards does not count yet
		f.live, f.end = last.T > v.At-lookback, math.MaxInt64
	case s.restored && !v.AsOf:
		f.end = last.T + 1
	default:
		f.end = f.endLocked(s, lookback)
		f.live = min(f.end, last.T+f.shift+lookback) > v.At
	}
	return f
}

// carryLocked moves the newest sample that is no marker to the view's moment.
func (v *View) carryLocked(s *Series, f frame) frame {
	for ; f.n > 0; f.n-- {
		if last := s.ring.At(f.n - 1); !last.Stale() {
			return frame{n: f.n, shift: v.At - last.T, live: true}
		}
	}
	return frame{}
}

// endLocked returns when the series of a frame becomes late if nothing more arrives,
// in the view's times; the frame's newest sample is no marker.
func (f frame) endLocked(s *Series, lookback int64) int64 {
	last := s.ring.At(f.n - 1)
	return max(last.T+int64(s.lag)+s.patienceLocked(lookback), last.T+f.shift+1)
}

// appendLocked appends the samples between mint and maxt to dst, and the staleness
// marker that silence implies.
func (f frame) appendLocked(dst points, s *Series, mint, maxt int64) points {
	for i := s.ring.Search(mint - f.shift); i < f.n; i++ {
		in := s.ring.At(i)
		if in.T += f.shift; in.T > maxt {
			return dst
		}
		dst = append(dst, point{in})
	}
	silent := f.n > 0 && !f.live && !s.ring.At(f.n-1).Stale()
	if silent && f.end >= mint && f.end <= maxt {
		dst = append(dst, point{ring.Sample{T: f.end, V: ring.StaleNaN}})
	}
	return dst
}
