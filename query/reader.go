package query

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// SeriesID names a series that a selector matches. It is valid as long as the
// store has the series, and comparable.
type SeriesID struct{ series *store.Series }

// Silent is a series that has samples and does not push: it is late, or its sender
// ended it by a staleness marker.
type Silent struct {
	ID        SeriesID
	Arrived   int64 // when its last sample arrived, in ms
	Ended     int64 // when the marker arrived, in ms; 0 if it is late
	Interval  int64 // its push interval, in ms; 0 if not known
	Value     float64
	Histogram bool // a native histogram, of which Value says nothing
	Uncovered bool // it had no data for the whole window when its last sample arrived
}

// Matched is what one selector of a query matches.
type Matched struct {
	Live      int // series that push
	Uncovered int // live series without data for the whole window
	Silent    []Silent
	// ZeroCounts is set where a series at zero changes the result; see selector.
	ZeroCounts bool
	// Optional is set where the query provides for an empty selector.
	Optional bool
}

// Survey is how the series that a query reads stand at a moment.
type Survey struct {
	At       int64     // ms
	Matched  []Matched // by selector
	Until    int64     // up to when nothing changes without a push, in ms
	Negative bool      // some live series is below zero
}

// State tells whether an evaluation has a value.
type State int

// The states of a value.
const (
	Empty    State = iota // no value
	HasValue              // one number
	Filtered              // a comparison in the query removed the value, which counts as 0
)

// Value is a query's value for a View. Numbers in Missing and Needed are of
// selectors.
type Value struct {
	State   State
	V       float64 // 0 without a value
	Missing []int   // empty selectors that count as nothing: V is a lower bound
	Needed  []int   // empty selectors without which there is no value
	Nothing bool    // nothing is left of the query without the empty selectors
}

// View is a moment, and which series count then.
type View struct {
	At int64 // ms
	// AsOf shows series as they stood at that moment, by the arrival of samples.
	// Otherwise they are shown as they stand now.
	AsOf bool
	// Carry are series of which the samples are moved forward by the time of their
	// silence: a gauge keeps its last value, a counter its rate.
	Carry map[SeriesID]struct{}
	// Without are series that don't count.
	Without map[SeriesID]struct{}
	// Empty tells which selectors match nothing, by their number.
	Empty []bool
}

func (v *View) store() *store.View {
	return &store.View{At: v.At, AsOf: v.AsOf, Carry: seriesOf(v.Carry), Without: seriesOf(v.Without), Accumulates: accumulates}
}

func seriesOf(ids map[SeriesID]struct{}) map[*store.Series]struct{} {
	if len(ids) == 0 {
		return nil
	}
	out := make(map[*store.Series]struct{}, len(ids))
	for id := range ids {
		out[id.series] = struct{}{}
	}
	return out
}

// Reader evaluates a plan for one trigger. It selects the plan's series once and
// learns of each change. All methods but Unchanged are for one goroutine at a
// time.
type Reader struct {
	p          *Plan
	selections []*store.Selection // by selector
	variants   map[string]*variant
	survey     Survey
}

// variant is the plan's query without the selectors that match nothing.
type variant struct {
	pruned
	text   string
	direct *direct  // nil if the engine must evaluate it
	of     int      // the selector that direct reads
	bare   *variant // it without its filters, nil if it has none
}

// Open selects the plan's series. changed is called after any change of them, once
// for each selector until the next Survey, on the goroutine that made the change: it
// must not block. The caller must Close the reader.
func (p *Plan) Open(changed func()) (*Reader, error) {
	r := &Reader{p: p, variants: map[string]*variant{}}
	for i := range p.selectors {
		s := &p.selectors[i]
		selection, err := p.e.opts.Store.Select(s.matchers, time.Duration(s.window)*time.Millisecond, changed)
		if err != nil {
			r.Close()
			return nil, fmt.Errorf("%w: %s: %w", ErrEvaluation, p.text, err)
		}
		r.selections = append(r.selections, selection)
	}
	r.survey.Matched = make([]Matched, len(p.selectors))
	return r, nil
}

// Close lets the series go.
func (r *Reader) Close() {
	for _, s := range r.selections {
		s.Close()
	}
	r.selections = nil
}

// Unchanged tells whether nothing has changed since the last Survey began.
func (r *Reader) Unchanged() bool {
	return !slices.ContainsFunc(r.selections, func(s *store.Selection) bool { return !s.Armed() })
}

// Survey looks at all series that the query reads. A series without data for a
// whole window is covered all the same if it appeared after newSince (ms): then
// its sender is new. The result is the reader's until the next Survey.
//
// Changes are announced from before the look on, so none is lost.
func (r *Reader) Survey(ctx context.Context, newSince int64) (*Survey, error) {
	for _, s := range r.selections {
		s.Arm()
	}
	out := &r.survey
	out.At, out.Until, out.Negative = r.p.e.opts.Store.Now(), math.MaxInt64, false
	for i, selection := range r.selections {
		s, m := &r.p.selectors[i], &out.Matched[i]
		*m = Matched{Silent: m.Silent[:0], ZeroCounts: s.zeroCounts, Optional: s.optional}
		facts, err := selection.Survey(ctx, store.SurveyOptions{
			At: out.At, Window: s.window, Accumulates: s.accumulates, NewSince: newSince,
			Silent: func(f store.SilentSeries) {
				m.Silent = append(m.Silent, Silent{SeriesID{f.Series}, f.Arrived, f.Ended, f.Interval, f.Value, f.Histogram, f.Uncovered})
			},
		})
		if err != nil {
			return nil, r.p.failed(err)
		}
		m.Live, m.Uncovered = facts.Live, facts.Uncovered
		out.Until = min(out.Until, facts.Until)
		out.Negative = out.Negative || facts.Negative
		if s.window > 0 && facts.Live+len(m.Silent) > 0 {
			out.Until = out.At + 1 // a window moves with every millisecond
		}
	}
	if r.p.moves {
		out.Until = out.At + 1
	}
	return out, nil
}

// Value evaluates the query, without the selectors that match nothing. Errors wrap
// ErrNotOneNumber or ErrEvaluation.
func (r *Reader) Value(ctx context.Context, view View) (Value, error) {
	v := r.variant(view.Empty)
	out := Value{Missing: v.missing, Needed: v.needed}
	if v.expr == nil {
		out.Nothing = len(v.needed) == 0
		return out, nil
	}
	stored := view.store()
	f, ok, err := r.eval(ctx, v, stored)
	switch {
	case err != nil:
		return out, err
	case ok:
		out.State, out.V = HasValue, f
		return out, nil
	case v.bare == nil:
		return out, nil
	}
	_, ok, err = r.eval(ctx, v.bare, stored)
	if ok || errors.Is(err, ErrNotOneNumber) { // several, or not finite: there is something that was removed
		out.State, err = Filtered, nil
	}
	return out, err
}

// Empty tells which selectors match nothing that a view shows.
func (r *Reader) Empty(ctx context.Context, view View) (empty []bool, err error) {
	stored := view.store()
	empty = make([]bool, len(r.selections))
	for i, s := range r.selections {
		in, err := s.Instant(ctx, stored)
		if err != nil {
			return nil, r.p.failed(err)
		}
		empty[i] = !in.Any(r.p.selectors[i].accumulates)
	}
	return empty, nil
}

// variant returns the query without the empty selectors.
func (r *Reader) variant(empty []bool) *variant {
	key := make([]byte, 0, 64)
	for i, e := range empty {
		if e {
			key = append(key, byte(i), byte(i>>8)) //nolint:gosec // two bytes of a number
		}
	}
	if v, ok := r.variants[string(key)]; ok {
		return v
	}
	if len(r.variants) >= maxVariants {
		clear(r.variants)
	}
	nodes := map[*parser.VectorSelector]int{}
	for i, e := range empty {
		if e {
			nodes[r.p.selectors[i].node] = i
		}
	}
	v := r.p.variant(prune(r.p.expr, nodes))
	r.variants[string(key)] = v
	return v
}

// maxVariants bounds the variants that a reader stores: which selectors match
// something changes now and then, among few of all combinations.
const maxVariants = 16

func (p *Plan) variant(left pruned) *variant {
	v := &variant{pruned: left}
	if v.expr == nil {
		return v
	}
	v.text = v.expr.String()
	if v.direct = newDirect(v.expr); v.direct != nil {
		v.of = slices.IndexFunc(p.selectors, func(s selector) bool { return s.node == v.direct.selector })
	}
	if bare := unfiltered(v.expr); bare != v.expr {
		v.bare = p.variant(pruned{expr: bare})
	}
	return v
}

// eval evaluates a variant: from the series themselves where that is possible, by
// the PromQL engine otherwise.
func (r *Reader) eval(ctx context.Context, v *variant, view *store.View) (f float64, ok bool, err error) {
	if f, ok, err = r.evalDirect(ctx, v, view); errors.Is(err, errFallBack) {
		f, ok, err = r.p.evalEngine(ctx, v.text, view)
	}
	if err == nil && !finite(f) {
		err = r.p.notFinite(ctx, v.expr, view, f)
	}
	return f, ok && err == nil, err
}

// evalDirect evaluates without the engine, or returns errFallBack.
func (r *Reader) evalDirect(ctx context.Context, v *variant, view *store.View) (f float64, ok bool, err error) {
	if v.direct == nil {
		return 0, false, errFallBack
	}
	began := time.Now()
	in, err := r.selections[v.of].Instant(ctx, view)
	if err == nil {
		f, ok, err = v.direct.eval(ctx, &in, &r.p.e.opts, began)
	}
	if errors.Is(err, errFallBack) {
		return 0, false, err
	}
	r.p.e.metrics.direct.Inc()
	r.p.e.metrics.directTime.Observe(time.Since(began).Seconds())
	if err != nil {
		err = r.p.failed(err)
	}
	return f, ok, err
}

// Rejected tells whether the store rejected samples that one of the selectors
// would match, and that are not there otherwise; why is nil if not.
func (p *Plan) Rejected() (why error) {
	for i := range p.selectors {
		switch why := p.e.opts.Store.Rejected(p.selectors[i].zeroCounts, p.selectors[i].matchers...); {
		case errors.Is(why, store.ErrTooOld):
			return fmt.Errorf("%w: the store rejects samples of %s: %w; the sender's clock is late, or it catches up with its queue", ErrTooOld, p.Selector(i), why)
		case why != nil:
			return fmt.Errorf("the store rejects new series of %s: %w", p.Selector(i), why)
		}
	}
	return nil
}
