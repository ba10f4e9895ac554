package store

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Selection is the series that match one selector, now and later, and a notification
// when they change: a sample was appended, or a series was created, ended, became
// silent or was freed.
//
// A read stores the series if there is room for them, so that reading them again looks
// nothing up. Without room, each read looks the series up.
type Selection struct {
	// dirty is set by the first change after Arm, so that the thousands that may
	// follow cost one load each.
	dirty   atomic.Bool
	changed func()

	s        *Store
	matchers []*labels.Matcher
	window   time.Duration // how far back the reader looks
	key      labels.Label  // in the index of selections

	// series is nil while the selection does not store its series; readers may have it,
	// so that it is appended to or replaced. It is written with Store.mu locked.
	series  atomic.Pointer[[]*Series]
	changes int // series created and freed so far; guarded by Store.mu
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
	s.selections.add(sel)
	s.mu.Unlock()
	// To attach to a hundred thousand series takes a tenth of a second, for which new
	// ones must not wait: they find the selection in the index.
	found, err := s.index.Find(context.Background(), ms...)
	if err != nil {
		sel.Close()
		return nil, err
	}
	for _, ser := range found {
		ser.attach(sel)
	}
	return sel, nil
}

// addLocked adds a new series, with the store locked. Without room for it, the
// selection removes all.
func (sel *Selection) addLocked(ser *Series) {
	sel.changes++
	all := sel.series.Load()
	switch {
	case all == nil:
	case sel.s.SelectedCount() >= sel.s.MaxSelected():
		sel.replaceLocked(nil)
	default:
		more := append(*all, ser) // behind what readers see of it
		sel.replaceLocked(&more)
	}
}

// clearLocked removes all series, with the store locked: some were freed. The next read
// looks the others up.
func (sel *Selection) clearLocked() {
	sel.changes++
	sel.replaceLocked(nil)
}

func (sel *Selection) replaceLocked(series *[]*Series) {
	if before := sel.series.Swap(series); before != nil {
		sel.s.selected.Add(-int64(len(*before)))
	}
	if series != nil {
		sel.s.selected.Add(int64(len(*series)))
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

// all returns the series. It stores them for the next read if there is room, and if none
// was created or freed during the look-up.
func (sel *Selection) all(ctx context.Context) ([]*Series, error) {
	if stored := sel.series.Load(); stored != nil {
		return *stored, nil
	}
	s := sel.s
	s.mu.Lock()
	before := sel.changes
	s.mu.Unlock()
	found, err := s.index.Find(ctx, sel.matchers...)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sel.changes == before && s.SelectedCount()+len(found) <= s.MaxSelected() {
		sel.replaceLocked(&found)
	}
	return found, nil
}

// Instant returns the series as a view shows them. The view must not change
// meanwhile.
func (sel *Selection) Instant(ctx context.Context, view *View) (Instant, error) {
	series, err := sel.all(ctx)
	return Instant{s: sel.s, series: series, View: view, lookback: sel.s.opts.Lookback.Milliseconds()}, err
}

// Close ends the notifications and removes the series. It must be called once.
func (sel *Selection) Close() {
	s := sel.s
	s.mu.Lock()
	s.selections.remove(sel)
	sel.clearLocked()
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
func (s *Store) SelectedCount() int { return int(s.selected.Load()) }

// MaxSelected returns the most series that selections store.
func (s *Store) MaxSelected() int { return selectedPerSeries * s.opts.MaxSeries }

// selectionIndex finds the selections that may match a new series. KServe generates
// one query a deployment, all of the same few metric names: so each selection is under
// one of the labels that its selector requires, or under none.
type selectionIndex map[labels.Label]map[*Selection]struct{}

// add chooses the label with the fewest selections: the one that distinguishes the
// selector from others.
func (x selectionIndex) add(sel *Selection) {
	for _, m := range sel.matchers {
		key := labels.Label{Name: m.Name, Value: m.Value}
		required := m.Type == labels.MatchEqual && m.Value != ""
		if required && (sel.key.Name == "" || len(x[key]) < len(x[sel.key])) {
			sel.key = key
		}
	}
	if x[sel.key] == nil {
		x[sel.key] = map[*Selection]struct{}{}
	}
	x[sel.key][sel] = struct{}{}
}

func (x selectionIndex) remove(sel *Selection) {
	if delete(x[sel.key], sel); len(x[sel.key]) == 0 {
		delete(x, sel.key)
	}
}

// matching returns the selections of a series.
func (x selectionIndex) matching(lset labels.Labels) (all []*Selection) {
	try := func(key labels.Label) {
		for sel := range x[key] {
			if matchesAll(lset, sel.matchers) {
				all = append(all, sel)
			}
		}
	}
	try(labels.Label{})
	lset.Range(try)
	return all
}

func matchesAll(lset labels.Labels, ms []*labels.Matcher) bool {
	for _, m := range ms {
		if !m.Matches(lset.Get(m.Name)) {
			return false
		}
	}
	return true
}
