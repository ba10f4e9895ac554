package store

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Selection is the series that match one selector, now and later, and a notification
// when they change: a sample was appended, or a series was created, ended, became
// silent or was freed.
//
// It stores its series while there is room for them, so that reading them again looks
// nothing up. Without room it only notifies, and each read looks the series up.
type Selection struct {
	// dirty is set by the first change after Arm, so that the thousands that may
	// follow cost one load each.
	dirty   atomic.Bool
	changed func()

	s        *Store
	matchers []*labels.Matcher
	window   time.Duration // how far back the reader looks

	// series is nil if the selection does not store its series; readers may have it, so
	// that it is appended to or replaced. It is written with Store.mu locked.
	series atomic.Pointer[[]*Series]

	// All guarded by Store.mu.
	key     selectionKey // in the index
	loading bool         // Select is looking the older series up
	newer   []*Series    // created while loading
	freed   bool         // some were freed while loading
}

// Select selects the series that match all of ms. The caller must Close the selection.
//
// The store calls changed after a change, at most once until the next Arm, on the
// goroutine that made the change: a push's or the sweep's, which waits for it, so it
// must not block. It holds no lock of the store, and the change is visible to reads.
// Calls may run at the same time, and one may still come after Close. A new selection
// is armed.
//
// Window is how far back before the moment of a read its reader looks; zero is for
// the newest sample.
func (s *Store) Select(ms []*labels.Matcher, window time.Duration, changed func()) (*Selection, error) {
	sel := &Selection{s: s, matchers: ms, window: window, changed: changed}
	s.mu.Lock()
	sel.loading = s.selected < s.MaxSelected()
	s.selections.add(sel)
	s.mu.Unlock()
	older, err := sel.attach()
	if err != nil {
		sel.Close()
		return nil, err
	}
	sel.store(older)
	return sel, nil
}

// attach attaches the selection to the series that exist, and returns those that it
// was not attached to before. To look up a hundred thousand takes a tenth of a second,
// for which new series must not wait: they find the selection in the index.
func (sel *Selection) attach() (older []*Series, err error) {
	found, err := sel.s.index.Find(context.Background(), sel.matchers...)
	if err != nil {
		return nil, err
	}
	for _, ser := range found {
		if ser.attach(sel) {
			older = append(older, ser)
		}
	}
	return older, nil
}

// store stores the older series in front of those that were created meanwhile, if
// there is room for all.
func (sel *Selection) store(older []*Series) {
	s := sel.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if !sel.loading {
		return
	}
	if sel.freed {
		older = slices.DeleteFunc(older, (*Series).Freed)
	}
	all := slices.Concat(older, sel.newer)
	sel.loading, sel.newer = false, nil
	if s.selected+len(all) <= s.MaxSelected() {
		sel.replaceLocked(&all)
	}
}

// addLocked adds a new series, with the store locked. Without room for it, the
// selection removes all.
func (sel *Selection) addLocked(ser *Series) {
	if sel.loading {
		sel.newer = append(sel.newer, ser)
	}
	all := sel.series.Load()
	switch {
	case all == nil:
	case sel.s.selected >= sel.s.MaxSelected():
		sel.replaceLocked(nil)
	default:
		more := append(*all, ser) // behind what readers see of it
		sel.replaceLocked(&more)
	}
}

// removeFreedLocked removes freed series, with the store locked.
func (sel *Selection) removeFreedLocked() {
	sel.freed = true
	sel.newer = slices.DeleteFunc(sel.newer, (*Series).Freed)
	all := sel.series.Load()
	if all == nil {
		return
	}
	var left []*Series
	for _, ser := range *all {
		if !ser.Freed() {
			left = append(left, ser)
		}
	}
	sel.replaceLocked(&left)
}

func (sel *Selection) replaceLocked(series *[]*Series) {
	if before := sel.series.Swap(series); before != nil {
		sel.s.selected -= len(*before)
	}
	if series != nil {
		sel.s.selected += len(*series)
	}
}

// Arm makes the next change call changed again. The reader looks at the clock and
// reads only afterwards: an append sets the flag after it stored its sample, with the
// series locked, so either a read after Arm returns the sample, or the flag stays set
// and changed is called.
func (sel *Selection) Arm() { sel.dirty.Store(false) }

// Armed reports whether nothing about the series has changed since Arm. It considers
// every change that returned before the call.
func (sel *Selection) Armed() bool { return !sel.dirty.Load() }

// Stored reports whether the selection stores its series.
func (sel *Selection) Stored() bool { return sel.series.Load() != nil }

// all returns the series.
func (sel *Selection) all(ctx context.Context) ([]*Series, error) {
	if stored := sel.series.Load(); stored != nil {
		return *stored, nil
	}
	return sel.s.index.Find(ctx, sel.matchers...)
}

// Instant returns the series as a view shows them. The view must not change
// meanwhile.
func (sel *Selection) Instant(ctx context.Context, view *View) (Instant, error) {
	series, err := sel.all(ctx)
	return Instant{s: sel.s, series: series, view: view, lookback: sel.s.opts.Lookback.Milliseconds()}, err
}

// Close ends the notifications and removes the series. It must be called once.
func (sel *Selection) Close() {
	s := sel.s
	s.mu.Lock()
	s.selections.remove(sel)
	sel.loading, sel.newer = false, nil
	sel.replaceLocked(nil)
	s.mu.Unlock()
	// A failed look-up would leave the selection at its series, where it costs a flag,
	// and a call without effect.
	found, _ := s.index.Find(context.Background(), sel.matchers...)
	for _, ser := range found {
		ser.detach(sel)
	}
}

// mark reports whether the caller must call changed for a change that it has made.
// The load avoids a write to a cache line that many series share.
func (sel *Selection) mark() bool { return !sel.dirty.Load() && !sel.dirty.Swap(true) }

// touched are the selections whose series have changed.
type touched map[*Selection]struct{}

func (t touched) add(all []*Selection) {
	for _, sel := range all {
		t[sel] = struct{}{}
	}
}

// notify calls changed of those that are armed. The caller must hold no lock.
func (t touched) notify() {
	for sel := range t {
		if sel.mark() {
			sel.changed()
		}
	}
}

// selectedPerSeries bounds the series that selections store, as a multiple of
// Options.MaxSeries: everyone who may write a ScaledObject may write queries, and each of
// these may select all series.
const selectedPerSeries = 4

// SelectedCount returns how many series selections store, counted once for each.
func (s *Store) SelectedCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.selected
}

// MaxSelected returns the most series that selections store.
func (s *Store) MaxSelected() int { return selectedPerSeries * s.opts.MaxSeries }

func matchesAll(lset labels.Labels, ms []*labels.Matcher) bool {
	for _, m := range ms {
		if !m.Matches(lset.Get(m.Name)) {
			return false
		}
	}
	return true
}
