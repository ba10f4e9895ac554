package scaler

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// triggerKey is what makes a trigger's past decisions count for it.
type triggerKey struct {
	Object
	query      string
	over       query.OverTime
	activation float64
	missing    Missing
}

// state is what the scaler stores of a trigger.
type state struct {
	key     triggerKey
	plan    *query.Plan
	metric  string                  // of the query, as the HPA has it
	first   int64                   // when KEDA asked first, in ms of a clock that is never set
	trigger atomic.Pointer[trigger] // as KEDA sent it last; what decisions depend on is in the key
	asked   [rpcs]asked
	peers   peers
	streams atomic.Int32 // open
	listed  atomic.Bool  // changed under listed.mu
	evicted atomic.Bool  // no longer stored

	expensive atomic.Bool              // its query, as logged last
	took      atomic.Int64             // the last evaluation, in ns
	queued    atomic.Bool              // for the evaluator
	last      atomic.Pointer[decision] // the newest; nil before the first
	begun     atomic.Uint64            // evaluations
	shown     atomic.Bool              // what streams report: the last known activity; changed under mu

	mu          sync.Mutex // held during an evaluation, so that decisions come in order; guards what follows
	reader      *query.Reader
	memory      memory
	history     history
	subscribers []chan struct{} // ready after shown has changed
}

// memory is what a trigger's next decision needs of those before.
type memory struct {
	seen       bool  // it had series
	ended      bool  // all of them were ended by their senders, when there were any last
	known      bool  // active is known
	active     bool  // as decided last, not counting what onMissing decided
	forgotten  bool  // all series under load went silent, and were forgotten
	together   bool  // all series were lost at one time, and not all are back since
	back       bool  // some of them are
	fading     bool  // no series pushes, and some of those that pushed last are forgotten
	returning  int64 // until when senders come back after that, in ms; 0 if they don't
	complete   floor // the last complete value
	isComplete bool  // there is one
	floors     floors
	shift      int64 // of the store's clock, that these times know of, in ms
}

// clean returns the last decision if it still holds: nothing has changed since, and no
// evaluation has begun since, which would take note of changes for itself.
func (st *state) clean(now int64) (*decision, bool) {
	d := st.last.Load()
	ok := d != nil && now >= d.at && now < d.until && d.reader != nil && d.reader.Unchanged()
	return d, ok && st.begun.Load() == d.number // looked at last
}

// current returns the trigger's decision as of now, which may be the last one. The
// error is the caller's, who is gone.
func (s *Server) current(ctx context.Context, st *state) (*decision, error) {
	if d, ok := st.clean(s.now()); ok {
		return d, nil
	}
	d, change, err := s.evaluate(ctx, st)
	if change != nil { // with nothing locked
		s.announce(st, change)
	}
	return d, err
}

// evaluate is current for a trigger whose last decision no longer holds.
func (s *Server) evaluate(ctx context.Context, st *state) (*decision, *change, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if d, ok := st.clean(s.now()); ok { // somebody else has evaluated meanwhile
		return d, nil, nil
	}
	number := st.begun.Add(1)
	began, start, t := time.Now(), s.start.Load(), st.trigger.Load()
	d, err := s.decideLocked(ctx, st, t, start)
	if ctx.Err() != nil { // the caller is gone; what failed then says nothing about the data
		return nil, nil, context.Cause(ctx)
	}
	if err != nil {
		d = (&situation{trigger: t, plan: st.plan, at: s.now(), err: err}).decide()
	}
	if now := s.start.Load(); now != start { // a reset has removed data meanwhile
		d = (&situation{trigger: t, plan: st.plan, at: s.now(), warmUp: s.warmUpUntil(now)}).decide()
	}
	d.cost, d.number = time.Since(began), number
	st.took.Store(int64(d.cost))
	return &d, s.recordLocked(st, &d), nil
}

func (s *Server) now() int64 { return s.opts.Now().UnixMilli() }

// change is what a decision changed.
type change struct {
	was  cause
	is   *decision
	news bool // another cause or activity, not only another value
}

// recordLocked makes a decision the trigger's last one, and tells its streams.
func (s *Server) recordLocked(st *state, d *decision) *change {
	last := st.last.Swap(d)
	was, news := st.history.record(d, st.plan.String(), s.resultsEach())
	if d.err == nil || d.active {
		st.showLocked(d.active)
	}
	if !news && last != nil && last.value == d.value && !expensive(d.cost) && !expensive(last.cost) {
		return nil
	}
	return &change{was: was, is: d, news: news}
}

// resultsEach is how many results there is room for of each trigger.
func (s *Server) resultsEach() int {
	return min(max(resultsBytes/resultSize/max(s.triggers.Len(), 1), minResults), int(s.opts.Queries.Retention()/time.Second))
}

// openLocked selects the trigger's series.
func (s *Server) openLocked(st *state) error {
	if st.reader != nil {
		return nil
	}
	reader, err := st.plan.Open(func() { s.evaluator.enqueue(st) })
	if err != nil {
		return err
	}
	st.reader = reader
	s.evaluator.opened(st)
	return nil
}

// decideLocked makes a decision from the data.
func (s *Server) decideLocked(ctx context.Context, st *state, t *trigger, start *start) (decision, error) {
	if err := s.openLocked(st); err != nil {
		return decision{}, err
	}
	s.opts.Queries.Steady() // notices that the clock was set
	survey, err := st.reader.Survey(ctx, start.newSince()+s.opts.Queries.ClockShift())
	if err != nil {
		return decision{}, err
	}
	m := &st.memory
	m.move(s.opts.Queries.ClockShift())
	retention := s.opts.Queries.Retention().Milliseconds()
	c := assess(survey, retention)
	sit := situation{
		trigger: t, plan: st.plan, at: c.at,
		absent: !c.needed, silent: c.live == 0 && len(c.lost) == 0 && c.seen > 0, lost: len(c.lost), uncovered: c.uncovered,
		rejected: st.plan.Rejected(),
		monotone: st.plan.Monotone() && !survey.Negative,
		seen:     m.seen, active: m.active || !m.known, patience: s.opts.WarmUp,
	}
	until := c.until
	s.remember(st, &sit, c, start, &until)
	if sit.edited && sit.absent {
		sit.near = st.plan.Near(ctx)
		until = min(until, c.at+tick.Milliseconds()) // KEDA may ask about the other trigger again
	}
	if c.needed {
		if err := sit.numbers(ctx, st, c, retention, start); err != nil {
			return decision{}, err
		}
	}
	sit.wait(m.returning, &until)
	d := sit.decide()
	if d.until = until; sit.stale || sit.rejected != nil {
		d.until = c.at // look again at the next opportunity
	}
	d.reader = st.reader
	m.after(&sit, &d, retention, st.plan.Span().Milliseconds())
	return d, nil
}

// remember puts the trigger's past into the situation.
func (s *Server) remember(st *state, sit *situation, c completeness, start *start, until *int64) {
	m := &st.memory
	if start.without {
		sit.wait(start.warmUpEnd+m.shift, until)
	}
	if c.seen > 0 {
		if m.forgotten && c.live > 0 { // as after a start: some are back, others may not be yet
			m.forgotten, m.returning = false, c.at+s.opts.WarmUp.Milliseconds()
		}
		m.seen, m.ended = true, c.ended && c.live == 0
		sit.ended = m.ended
	} else {
		sit.ended = m.ended
		if !m.seen {
			sit.edited = s.objects.wasActive(st, m.shift)
			if start.without && st.first < start.warmUpEnd {
				sit.unknown = time.UnixMilli(start.at + m.shift)
			}
		}
	}
}

// wait holds until a moment (ms), if that is to come.
func (sit *situation) wait(end int64, until *int64) {
	if end > sit.at {
		sit.warmUp = time.UnixMilli(max(end, sit.warmUp.UnixMilli()))
		*until = min(*until, end)
	}
}

// numbers evaluates the query: as it is, with the lost series, and in hindsight.
func (sit *situation) numbers(ctx context.Context, st *state, c completeness, retention int64, start *start) (err error) {
	m := &st.memory
	view := query.View{At: c.at, Carry: c.unloaded, Empty: c.current}
	if sit.current, err = st.reader.Value(ctx, view); err != nil {
		return err
	}
	whole := sit.current
	if sit.lost > 0 {
		view.Carry, view.Empty = c.carried, c.absent
		if whole, err = st.reader.Value(ctx, view); err != nil {
			return err
		}
	}
	sit.carried = number{whole.V, whole.State != query.Empty}
	sit.absent = whole.Nothing // all sides of an `or` are empty
	sit.missing, sit.needed = st.selectors(whole.Missing), st.selectors(whole.Needed)
	keep := max(retention, st.plan.Span().Milliseconds())
	sit.fading = m.fade(c, sit, retention)
	forgot, back := m.floors.expire(c.at-keep, c.at-retention, c.lost)
	m.together = m.together || c.live == 0 && sit.lost > 0
	if m.back = m.together && (m.back || back); m.back && forgot { // as after a start: some are back, others may not be yet
		m.together, m.back = false, false
		if last := st.last.Load(); last == nil || last.err != nil || sit.current.V < last.value {
			m.returning = c.at + sit.patience.Milliseconds()
		}
	}
	for _, losses := range m.floors.newMoments(c.lost) {
		if losses[0].Arrived-m.shift <= start.restored { // the snapshot has the floor
			m.floors.know(losses)
		} else if err := st.addFloor(ctx, c, losses); err != nil {
			sit.stale = true // the next evaluation tries again
			break
		} else if sit.uncovered > 0 && m.isComplete && m.complete.At > c.at-keep { // not all was there then, either
			m.floors.add(floor{At: losses[0].Arrived, Value: m.complete.Value})
		}
	}
	sit.floor = m.floor(sit, c.at-keep)
	return nil
}

// fade reports whether no series pushes under load, and some of those that were there
// when the last push came are forgotten: what is left is less than the load then. When
// some are back it begins the time to wait for the others, as after a start.
func (m *memory) fade(c completeness, sit *situation, retention int64) bool {
	if c.live > 0 {
		if m.fading {
			m.fading, m.together, m.back, m.returning = false, false, false, c.at+sit.patience.Milliseconds()
		}
		return false
	}
	if !m.fading && sit.active && !c.ended {
		alive := c.latest - c.patience()
		for _, at := range m.floors.lost {
			m.fading = m.fading || at > alive && at <= c.at-retention
		}
	}
	return m.fading
}

// floor returns what the query was at least when everything was there, after a moment
// (ms). Where series are only lost, that is the highest entry. Otherwise an entry may
// lack what was missing already, and the last complete value counts as well.
func (m *memory) floor(sit *situation, after int64) number {
	v, ok := m.floors.highest()
	if ok && !sit.stale && sit.uncovered == 0 && sit.rejected == nil {
		return number{v, true}
	}
	if !m.isComplete || m.complete.At <= after {
		return number{}
	}
	return number{max(v, m.complete.Value), true}
}

// addFloor evaluates the query as of the moment when series became lost, over the
// series that were there then.
func (st *state) addFloor(ctx context.Context, c completeness, losses []query.Silent) error {
	f := &st.memory.floors
	without := make(map[query.SeriesID]struct{}, len(f.lost))
	for id := range f.lost {
		without[id] = struct{}{}
	}
	at := losses[0].Arrived
	view := query.View{At: at, AsOf: true, Carry: c.unloaded, Without: without}
	var err error
	if view.Empty, err = st.reader.Empty(ctx, view); err != nil {
		return err
	}
	v, err := st.reader.Value(ctx, view)
	if err != nil {
		return err
	}
	if v.State != query.Empty {
		f.add(floor{At: at, Value: v.V})
	}
	f.know(losses)
	return nil
}

// selectors returns the texts of selectors.
func (st *state) selectors(numbers []int) (texts []string) {
	for _, i := range numbers {
		texts = append(texts, st.plan.Selector(i))
	}
	return texts
}

// move adds to all times what the clock was set by since.
func (m *memory) move(shift int64) {
	d := shift - m.shift
	if m.shift = shift; d == 0 {
		return
	}
	m.floors.move(d)
	m.complete.At += d
	if m.returning > 0 {
		m.returning += d
	}
}

// after takes note of a decision.
func (m *memory) after(sit *situation, d *decision, retention, span int64) {
	if d.err == nil && d.cause != causeOnMissing {
		m.known, m.active = true, d.active
	} else if d.active {
		m.known, m.active = true, true
	}
	if d.err != nil && d.cause != causeHoldWarmUp && sit.absent && m.seen && sit.active && !sit.ended { // also while series are rejected
		m.forgotten = true
	}
	if d.at >= m.returning {
		m.returning = 0
	}
	if sit.rejected != nil && sit.floor.ok && sit.rejection() == causeHoldRejected {
		m.complete.At = d.at // it counts as long as rejections by a limit continue
	}
	if d.complete {
		m.complete, m.isComplete = floor{d.at, d.value}, true
	}
	if sit.lost == 0 && sit.uncovered == 0 && (d.complete || d.at-m.complete.At > max(retention, span)) {
		m.floors.clear()
		m.together, m.back = false, false
	}
}
