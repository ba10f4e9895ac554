package store

import (
	"context"
	"maps"
	"slices"

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
	Lost   Loss
}

// Loss is about series that fell silent with another value than zero, and without
// a word from their senders, until they are freed. The zero Loss is none.
type Loss struct {
	Count       int
	First, Last int64 // when the first and the last of them were seen last, in ms
}

// add adds a series that fell silent with its last sample. One at zero takes no
// load away.
func (l *Loss) add(last sample) {
	if !takesLoad(last) {
		return
	}
	l.Merge(Loss{1, last.t, last.t})
}

func takesLoad(last sample) bool { return last.hist != nil || last.v != 0 }

// Merge adds what another selector has lost.
func (l *Loss) Merge(o Loss) {
	switch {
	case o.Count == 0:
	case l.Count == 0:
		*l = o
	default:
		*l = Loss{l.Count + o.Count, min(l.First, o.First), max(l.Last, o.Last)}
	}
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
		p.Lost.add(ser.ring.last())
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

// lostWithin is how close two losses are to be told as one, in ms: what was lost
// first still counts when the other is, since no series is over so soon.
const lostWithin = 1000

// Losses returns when series that match ms were seen last, of those that a Loss is
// about, in ms and in order; of those within a second of each other the last.
func (s *Store) Losses(ctx context.Context, ms ...*labels.Matcher) ([]int64, error) {
	found, err := s.find(ctx, ms...)
	if err != nil {
		return nil, err
	}
	now, lookback := s.now(), s.opts.Lookback.Milliseconds()
	latest := map[int64]int64{} // of each second
	for _, ser := range found {
		if t, lost := ser.lost(now, lookback); lost {
			latest[t/lostWithin] = max(latest[t/lostWithin], t)
		}
	}
	return slices.Sorted(maps.Values(latest)), nil
}

// lost tells when a series that fell silent under load was seen last.
func (s *Series) lost(now, lookback int64) (t int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ring.len() == 0 || s.stateLocked(now, lookback) != Gone {
		return 0, false
	}
	last := s.ring.last()
	return last.t, takesLoad(last)
}
