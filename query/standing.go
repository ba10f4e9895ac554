package query

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// standing is what a plan keeps between two evaluations: its series, and the
// last answer for as long as it stands. KEDA and the HPA ask for the same value
// every few seconds, twice a poll and from several replicas.
//
// It takes room in the store from the first evaluation on, not from the
// compilation: whoever has queries compiled only to see whether they are valid
// costs nothing.
type standing struct {
	p *Plan

	mu      sync.Mutex   // held during an evaluation, before all of the store's; guards what follows
	kept    *store.Selection   // stored; nil before the first evaluation, after the release, and without room
	watched []*store.Selection // kept, or for streams one for each selector; none before the first of either
	retired bool               // the engine has forgotten the plan; its last stream releases it
	last    answer
	read    int // samples that the last evaluation looked at

	listeners listeners
}

// answer is what Eval returned, and the moments, from <= t < until in ms, for
// which it stands while nothing changes.
type answer struct {
	from, until int64
	value       float64
	lost        Loss
	err         error
}

func (a answer) result() Result { return Result{Value: a.value, Lost: a.lost} }

// eval answers with what stands, or evaluates anew. errFallBack says that the
// engine must.
func (st *standing) eval(ctx context.Context, at time.Time) answer {
	ts := at.UnixMilli()
	st.mu.Lock()
	defer st.mu.Unlock()
	m := &st.p.e.metrics
	if st.standsLocked(ts) {
		m.standing.Inc()
		return st.last
	}
	in, err := st.instantLocked(ctx, ts)
	if err != nil {
		return answer{err: errFallBack}
	}
	began := time.Now()
	v, ok, err := st.p.evalInstant(ctx, &in, at)
	st.read = in.Read()
	if !errors.Is(err, errFallBack) {
		m.direct.Inc()
		m.directTime.Observe(time.Since(began).Seconds())
	}
	v, err = st.p.answer(ctx, v, ok, err)
	a := answer{from: ts, value: v, lost: in.Lost(), err: err}
	if err == nil || lasting(err) {
		st.rememberLocked(&in, a)
	}
	return a
}

func (st *standing) standsLocked(ts int64) bool {
	return st.kept != nil && ts >= st.last.from && ts < st.last.until && st.kept.Unchanged(st.last.until)
}

func (st *standing) rememberLocked(in *store.Instant, a answer) {
	if a.from < st.last.from {
		return // a look back; the answer for now still stands
	}
	a.until = st.p.direct.until(in, a.from)
	st.last = a
}

// lasting tells whether an error comes from the data, and not from the attempt.
// Series that live, of an empty result, will end without a change.
func lasting(err error) bool {
	var empty *EmptyError
	if errors.As(err, &empty) {
		return empty.Live == 0
	}
	return errors.Is(err, ErrNotOneNumber)
}

// instantLocked returns the plan's series, kept if there is room.
func (st *standing) instantLocked(ctx context.Context, ts int64) (store.Instant, error) {
	st.keepLocked()
	st.armLocked()
	if st.kept != nil {
		if st.kept.Stored() {
			return st.kept.Instant(ctx, ts)
		}
		st.kept = nil
		if st.listeners.none() {
			st.releaseLocked()
		}
	}
	return st.p.e.opts.Store.Instant(ctx, ts, st.p.direct.matchers...)
}

// keepLocked keeps the plan's series. Without room in the store, or an index, it
// goes without.
func (st *standing) keepLocked() {
	if st.kept != nil || st.p.direct == nil || st.retired && st.listeners.none() {
		return
	}
	s := st.p.e.opts.Store
	if s.SelectedCount() >= s.MaxSelected() {
		return
	}
	kept, err := s.Select(st.p.direct.matchers, 0, st.changed)
	if err != nil {
		return
	}
	if !kept.Stored() {
		kept.Close()
		return
	}
	st.releaseLocked() // selections without series
	st.kept, st.watched = kept, []*store.Selection{kept}
}

// armLocked has the next change told. What has changed so far is forgotten by
// Arm, and so must be the answer from before. If nothing has, it stands.
func (st *standing) armLocked() {
	for _, sel := range st.watched {
		if !sel.Armed() {
			st.last = answer{}
			sel.Arm()
		}
	}
}

func (st *standing) releaseLocked() {
	for _, sel := range st.watched {
		sel.Close()
	}
	st.kept, st.watched, st.last = nil, nil, answer{}
}

// retire lets the series go, at once or with the last stream.
func (st *standing) retire() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.retired = true; st.listeners.none() {
		st.releaseLocked()
	}
}

// join adds a listener, and sees to it that there is something to hear.
func (st *standing) join(l *Watch) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.listeners.add(l)
	st.keepLocked()
	if len(st.watched) > 0 {
		return nil
	}
	for _, ms := range st.p.selectors {
		sel, err := st.p.e.opts.Store.Select(ms, 0, st.changed)
		if err != nil {
			st.releaseLocked()
			st.listeners.remove(l)
			return fmt.Errorf("watching %s: %w", st.p.text, err)
		}
		st.watched = append(st.watched, sel)
	}
	return nil
}

func (st *standing) leave(l *Watch) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.listeners.remove(l)
	// Polls have a use for what is kept, none for being told.
	if st.listeners.none() && (st.retired || st.kept == nil) {
		st.releaseLocked()
	}
}
