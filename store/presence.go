package store

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
)

// Presence counts the series of a selector by how they stand.
type Presence struct {
	Live  int // pushed, and not over
	Ended int // ended by their sender's staleness marker
	Gone  int // fell silent without one

	// GoneAt is when the newest sample among the gone series was taken, in ms;
	// 0 if none is gone.
	GoneAt int64
	// LostAt is when the first of the gone series that were not at zero was seen
	// last, in ms; 0 if there is none. All of them were there then.
	LostAt int64
}

// Presence tells how the series that match ms stand now.
func (s *Store) Presence(ctx context.Context, ms ...*labels.Matcher) (Presence, error) {
	found, err := s.find(ctx, ms...)
	if err != nil {
		return Presence{}, err
	}
	var p Presence
	now, lookback := s.now(), s.opts.Lookback.Milliseconds()
	for _, ser := range found {
		p.count(ser, now, lookback)
	}
	return p, nil
}

// count adds a series, and tells how it stands; ok is false if it has no sample.
func (p *Presence) count(ser *Series, now, lookback int64) (state State, ok bool) {
	ser.mu.Lock()
	defer ser.mu.Unlock()
	if ser.ring.len() == 0 {
		return 0, false
	}
	state = ser.stateLocked(now, lookback)
	switch state {
	case Ended:
		p.Ended++
	case Gone:
		p.Gone++
		p.GoneAt = max(p.GoneAt, ser.ring.last().t)
		p.LostAt = lost(p.LostAt, ser.ring.last())
	default:
		p.Live++
	}
	return state, true
}

// stateLocked tells how a series that has samples stands.
func (s *Series) stateLocked(now, lookback int64) State {
	last := s.ring.last()
	switch {
	case last.stale():
		return Ended
	case s.overAtLocked(lookback) <= now || last.t <= now-lookback:
		return Gone
	default:
		return Live
	}
}

// lost adds to the moment of a loss a series that fell silent with its last
// sample. One at zero takes no load away.
func lost(at int64, last sample) int64 {
	switch {
	case last.hist == nil && last.v == 0:
		return at
	case at == 0:
		return last.t
	default:
		return min(at, last.t)
	}
}
