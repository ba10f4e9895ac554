package store

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
)

// ErrKeepLimit says that a selector's series are not kept at hand, since too
// many are for others.
var ErrKeepLimit = errors.New("limit of kept series reached")

// keptPerSeries bounds how many selectors' series are kept, as a multiple of the
// most series there may be: queries are for whoever may write a ScaledObject,
// and each may ask for all series there are.
const keptPerSeries = 4

// Kept is a selector's series kept at hand, and a Watch of them, so that asking
// again costs nothing if nothing has changed.
type Kept struct {
	Watch // in one piece with what is read right after a change

	mu     sync.Mutex // guards what follows; taken after Store.mu
	series []*Series  // in the order in which they were made; only ever added to, or replaced
	lost   bool       // too many series came

	forgot bool // some were freed; guarded by Store.mu
}

// Keep watches and keeps the series that match ms, those to come included. The
// caller must Close it. The error wraps ErrKeepLimit if there are too many.
func (s *Store) Keep(ms []*labels.Matcher, changed func()) (*Kept, error) {
	k := &Kept{Watch: Watch{s: s, selectors: [][]*labels.Matcher{ms}, changed: changed}}
	k.kept = k
	s.mu.Lock()
	full := s.keepsEnoughLocked()
	s.mu.Unlock()
	if full { // before anything is looked up
		return nil, s.keepLimit()
	}
	var older []*Series
	err := k.attach(func(ser *Series) { older = append(older, ser) })
	if err == nil && !k.put(older) {
		err = s.keepLimit()
	}
	if err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// put puts the series that were there before the watch in front of those that
// have come since. It tells whether there is room for them.
func (k *Kept) put(older []*Series) bool {
	s := k.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.forgot {
		older = slices.DeleteFunc(older, (*Series).Freed)
	}
	if k.lost || s.kept+len(older) > s.MaxKept() {
		return false
	}
	k.replaceLocked(append(older, k.series...))
	return true
}

// KeptCount returns how many series are kept, counted for each selector.
func (s *Store) KeptCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept
}

// MaxKept returns the most series that are kept.
func (s *Store) MaxKept() int { return keptPerSeries * s.opts.MaxSeries }

func (s *Store) keepsEnoughLocked() bool { return s.kept >= s.MaxKept() }

func (s *Store) keepLimit() error {
	return fmt.Errorf("%w: %d", ErrKeepLimit, s.MaxKept())
}

// Unchanged tells whether the watch is still armed and until, of an Instant read
// after Arm, is not over yet.
func (k *Kept) Unchanged(until int64) bool { return k.Armed() && k.s.now() < until }

// Instant returns the series as of at (ms); ok is false if there were too many
// to keep, which they remain: all that is left then is the watch.
func (k *Kept) Instant(at int64) (in Instant, ok bool) { return k.instant(k.s.now(), at) }

// Now is Instant as of now.
func (k *Kept) Now() (in Instant, ok bool) {
	now := k.s.now()
	return k.instant(now, now)
}

func (k *Kept) instant(now, at int64) (in Instant, ok bool) {
	k.mu.Lock()
	series, lost := k.series, k.lost
	k.mu.Unlock()
	if lost {
		return Instant{}, false
	}
	return k.s.instant(now, at, series), true
}

// addLocked adds a series newer than all it has, with the store locked. If that
// is one too many, it lets all of them go.
func (k *Kept) addLocked(ser *Series) {
	s := k.s
	full := s.keepsEnoughLocked()
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.lost:
	case full:
		s.kept -= len(k.series)
		k.series, k.lost = nil, true
	default:
		k.series = append(k.series, ser)
		s.kept++
	}
}

// forgetLocked takes freed series out, with the store locked.
func (k *Kept) forgetLocked() {
	k.forgot = true
	var left []*Series
	for _, ser := range k.series { // written with the store locked only
		if !ser.Freed() {
			left = append(left, ser)
		}
	}
	k.replaceLocked(left)
}

func (k *Kept) replaceLocked(series []*Series) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.s.kept += len(series) - len(k.series)
	k.series = series
}
