package store

import (
	"errors"
	"fmt"
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

// Kept is a selector's series kept at hand. It knows when something about them
// has changed, so that asking again costs nothing if nothing did.
type Kept struct {
	w *Watch

	mu     sync.Mutex // guards what follows; taken after Store.mu
	series []*Series  // in the order in which they were made; only ever added to, or replaced
	lost   bool       // too many series came
}

// Keep keeps the series that match ms, those to come included. The caller must
// Close it. The error wraps ErrKeepLimit if there are too many.
func (s *Store) Keep(ms []*labels.Matcher) (*Kept, error) {
	k := &Kept{w: &Watch{s: s, selectors: [][]*labels.Matcher{ms}, changed: make(chan struct{}, 1)}}
	k.w.kept = k
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keepsEnoughLocked() { // before anything is looked up
		return nil, s.keepLimit()
	}
	err := k.w.addLocked()
	if err == nil && k.lost {
		err = s.keepLimit()
	}
	if err != nil {
		k.closeLocked()
		return nil, err
	}
	return k, nil
}

func (s *Store) keptCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept
}

func (s *Store) keepsEnoughLocked() bool { return s.kept >= keptPerSeries*s.opts.MaxSeries }

func (s *Store) keepLimit() error {
	return fmt.Errorf("%w: %d", ErrKeepLimit, keptPerSeries*s.opts.MaxSeries)
}

// Close lets the series go. It must be called once.
func (k *Kept) Close() {
	k.w.s.mu.Lock()
	defer k.w.s.mu.Unlock()
	k.closeLocked()
}

func (k *Kept) closeLocked() {
	k.w.removeLocked()
	k.replaceLocked(nil)
}

// Unchanged tells whether nothing that concerns the series has happened since
// Arm (an append, a creation, a release, an end that has moved) and until, of an
// Instant read after Arm, is not over yet. What returned before the call does not
// go unseen.
func (k *Kept) Unchanged(until int64) bool { return !k.w.dirty.Load() && k.w.s.now() < until }

// Arm makes what Unchanged looks at start anew. Only then read: an append sets the flag after it
// stored its sample, with the series locked, so either it is seen by what is
// read after Arm, or the flag stays set.
func (k *Kept) Arm() { k.w.Arm() }

// Instant returns the series as of at (ms); ok is false if there were too many
// to keep.
func (k *Kept) Instant(at int64) (in *Instant, ok bool) {
	k.mu.Lock()
	series, lost := k.series, k.lost
	k.mu.Unlock()
	if lost {
		return nil, false
	}
	return k.w.s.instant(at, series), true
}

// addLocked adds a series newer than all it has, with the store locked. If that
// is one too many, it lets all of them go.
func (k *Kept) addLocked(ser *Series) {
	s := k.w.s
	full := s.keepsEnoughLocked()
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.lost:
	case full:
		s.kept -= len(k.series)
		k.series, k.lost = nil, true
		k.w.dirty.Store(true)
	default:
		k.series = append(k.series, ser)
		s.kept++
	}
}

// forgetLocked takes freed series out, with the store locked.
func (k *Kept) forgetLocked() {
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
	k.w.s.kept += len(series) - len(k.series)
	k.series = series
}
