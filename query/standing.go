package query

import (
	"context"
	"errors"
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
	mu      sync.Mutex  // held during an evaluation, before all of the store's; guards what follows
	kept    *store.Kept // nil before the first evaluation and after the release
	users   int         // watches that hold the plan in use
	retired bool        // the engine has forgotten the plan; its last user releases it
	last    answer
}

// answer is what Eval returned, and the moments, from <= t < until in ms, for
// which it stands while nothing changes.
type answer struct {
	from, until int64
	value       float64
	err         error
}

// eval answers with what stands, or evaluates anew. errFallBack says that the
// engine must.
func (st *standing) eval(ctx context.Context, p *Plan, at time.Time) (float64, error) {
	ts := at.UnixMilli()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.kept != nil && ts >= st.last.from && ts < st.last.until && st.kept.Unchanged(st.last.until) {
		return st.last.value, st.last.err
	}
	in, err := st.instant(ctx, p, ts)
	if err != nil {
		return 0, errFallBack
	}
	next := answer{from: ts}
	v, ok, err := p.evalInstant(ctx, in, at)
	next.value, next.err = p.answer(ctx, v, ok, err)
	switch {
	case ts < st.last.from: // a look back; the answer for now still stands
	case next.err != nil && !lasting(next.err):
	default:
		next.until = p.direct.until(in, ts)
		st.last = next
	}
	return next.value, next.err
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

// instant returns the plan's series, kept if there is room.
func (st *standing) instant(ctx context.Context, p *Plan, ts int64) (*store.Instant, error) {
	if st.kept == nil && (!st.retired || st.users > 0) {
		st.last = answer{}
		// Without room in the store, or an index, it goes as it went before.
		st.kept, _ = p.e.opts.Store.Keep(p.direct.matchers)
	}
	if st.kept != nil {
		if ts >= st.last.from {
			st.last.until = 0 // what has changed so far is forgotten by Arm
			st.kept.Arm()
		}
		if in, ok := st.kept.Instant(ts); ok {
			return in, nil
		}
		st.release()
	}
	return p.e.opts.Store.Instant(ctx, ts, p.direct.matchers...)
}

func (st *standing) release() {
	if st.kept != nil {
		st.kept.Close()
		st.kept = nil
	}
}

// retire lets the series go, at once or with the last user.
func (st *standing) retire() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.retired = true; st.users == 0 {
		st.release()
	}
}

func (st *standing) use() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.users++
}

func (st *standing) leave() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.users--; st.retired && st.users == 0 {
		st.release()
	}
}

// planWatch is a store's watch that keeps its plan in use.
type planWatch struct {
	*store.Watch
	p *Plan
}

func (w planWatch) Close() {
	w.Watch.Close()
	w.p.standing.leave()
}
