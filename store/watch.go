package store

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
)

// Watch tells when the series of some selectors have changed: a sample came,
// one of them ended, fell silent or was freed.
type Watch struct {
	// dirty is set by the first change after Arm, so that the thousands that
	// may follow cost one load each.
	dirty   atomic.Bool
	changed func()
	kept    *Kept // that it is part of; nil for most

	s         *Store
	selectors [][]*labels.Matcher
	keys      []watchKey // where the index has it; guarded by Store.mu
}

// Watch watches the series that match one of the selectors, those to come
// included. The caller must Close it.
//
// Changed is called after something has changed, once until the next Arm. It
// runs on the goroutine that made the change, a push's or the sweep's, which
// waits for it: it must not block. What has changed is there to be read, and no
// lock of the store's is held. Calls may run at the same time, and one may still
// come after Close.
func (s *Store) Watch(selectors [][]*labels.Matcher, changed func()) (*Watch, error) {
	w := &Watch{s: s, selectors: selectors, changed: changed}
	if err := w.attach(func(*Series) {}); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// attach hangs the watch on its series, and calls f with each that was there
// before. To look up a hundred thousand takes a tenth of a second, in which new
// series must not wait for the store: they find the watch in the index from the
// start, and only the others have it hung on here.
func (w *Watch) attach(f func(*Series)) error {
	w.s.mu.Lock()
	w.s.watches.add(w)
	w.s.mu.Unlock()
	return w.each(func(ser *Series) {
		if ws := ser.watchesLocked(); !ser.freed && !slices.Contains(ws, w) {
			ser.setWatchesLocked(append(ws[:len(ws):len(ws)], w))
			f(ser)
		}
	})
}

// Arm makes the next change call changed again. Only then look at the clock and
// read: an append sets the flag after it stored its sample, with the series
// locked, so either it is seen by what is read after Arm, or the flag stays set
// and changed is called.
func (w *Watch) Arm() { w.dirty.Store(false) }

// Armed tells whether nothing that concerns the series has happened since Arm:
// no append, creation, release, nor an end that has moved. What returned before
// the call does not go unseen.
func (w *Watch) Armed() bool { return !w.dirty.Load() }

// mark tells whether changed is to be called for a change that has been made.
// The load keeps a line that many series share from being written.
func (w *Watch) mark() bool { return !w.dirty.Load() && !w.dirty.Swap(true) }

// Close ends the watch. It must be called once.
func (w *Watch) Close() {
	w.s.mu.Lock()
	w.s.watches.remove(w)
	if w.kept != nil {
		w.kept.replaceLocked(nil)
	}
	w.s.mu.Unlock()
	// An index that can't be read leaves the watch with its series, where it
	// costs a flag, and a call that finds nobody to tell.
	_ = w.each(func(ser *Series) {
		if ws := ser.watchesLocked(); slices.Contains(ws, w) {
			left := make([]*Watch, 0, len(ws)-1)
			for _, o := range ws {
				if o != w {
					left = append(left, o)
				}
			}
			ser.setWatchesLocked(left)
		}
	})
}

// each calls f, with the series locked, for each matching series, with some
// more than once.
func (w *Watch) each(f func(*Series)) error {
	for _, ms := range w.selectors {
		found, err := w.s.find(context.Background(), ms...)
		if err != nil {
			return err
		}
		for _, ser := range found {
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

func matchesAll(lset labels.Labels, ms []*labels.Matcher) bool {
	for _, m := range ms {
		if !m.Matches(lset.Get(m.Name)) {
			return false
		}
	}
	return true
}
