package store

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
)

// Watch tells when the series of some selectors have changed: a sample came,
// one of them ended, fell silent or was freed.
type Watch struct {
	s         *Store
	selectors [][]*labels.Matcher
	changed   chan struct{}
	kept      *Kept      // that it serves; nil for most
	keys      []watchKey // where the index has it; guarded by Store.mu

	// dirty is set by the first append after Arm, so that the thousands that
	// may follow cost one load each.
	dirty atomic.Bool
}

// Watch watches the series that match one of the selectors, those to come
// included. The caller must Close it.
func (s *Store) Watch(selectors [][]*labels.Matcher) (*Watch, error) {
	w := &Watch{s: s, selectors: selectors, changed: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := w.addLocked(); err != nil {
		w.removeLocked()
		return nil, err
	}
	return w, nil
}

func (w *Watch) addLocked() error {
	w.s.watches.add(w)
	return w.eachLocked(func(ser *Series) {
		ws := ser.watchesLocked()
		ser.setWatchesLocked(append(ws[:len(ws):len(ws)], w))
		if w.kept != nil {
			w.kept.addLocked(ser)
		}
	})
}

// Changed is ready to receive after something changed. After receiving call
// Arm, and only then read the store.
func (w *Watch) Changed() <-chan struct{} { return w.changed }

// Arm makes the next change ready the channel again.
func (w *Watch) Arm() { w.dirty.Store(false) }

// Close ends the watch. It must be called once.
func (w *Watch) Close() {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.removeLocked()
}

func (w *Watch) removeLocked() {
	w.s.watches.remove(w)
	// An index that can't be read leaves the watch with its series, where it
	// only costs a flag: its channel has room for one and is never waited for.
	_ = w.eachLocked(func(ser *Series) {
		ws := ser.watchesLocked()
		kept := make([]*Watch, 0, len(ws))
		for _, o := range ws {
			if o != w {
				kept = append(kept, o)
			}
		}
		ser.setWatchesLocked(kept)
	})
}

// eachLocked calls f, with the series locked, once for each matching series.
func (w *Watch) eachLocked(f func(*Series)) error {
	seen := map[*Series]struct{}{}
	for _, ms := range w.selectors {
		found, err := w.s.find(context.Background(), ms...)
		if err != nil {
			return err
		}
		for _, ser := range found {
			if len(w.selectors) > 1 {
				if _, ok := seen[ser]; ok {
					continue
				}
				seen[ser] = struct{}{}
			}
			ser.mu.Lock()
			f(ser)
			ser.mu.Unlock()
		}
	}
	return nil
}

func (w *Watch) matches(lset labels.Labels) bool {
	for _, ms := range w.selectors {
		if matchesAll(lset, ms) {
			return true
		}
	}
	return false
}

// wake readies the channel; the watch must be dirty.
func (w *Watch) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func matchesAll(lset labels.Labels, ms []*labels.Matcher) bool {
	for _, m := range ms {
		if !m.Matches(lset.Get(m.Name)) {
			return false
		}
	}
	return true
}
