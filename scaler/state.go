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
	Query      string
	Over       query.OverTime
	Activation float64
	Missing    Missing
}

// state is what the scaler stores of a trigger.
type state struct {
	key     triggerKey
	plan    *query.Plan
	metric  string                   // of the query, as the HPA has it
	first   int64                    // when KEDA asked first, in ms of a clock that is never set
	trigger atomic.Pointer[Metadata] // as KEDA sent it last; what decisions depend on is in the key
	calls   calls
	streams atomic.Int32 // open
	evicted atomic.Bool  // no longer stored

	expensive atomic.Bool              // its query, as logged last
	took      atomic.Int64             // the last evaluation, in ns
	queued    atomic.Int64             // since when the evaluator has it, in ms; 0 if it has not
	lag       atomic.Int64             // how long it was queued last, in ms
	last      atomic.Pointer[decision] // the newest; nil before the first
	begun     atomic.Uint64            // evaluations
	shown     atomic.Bool              // what streams report: the last known activity; changed under mu

	mu      sync.Mutex // held during an evaluation, so that decisions come in order; guards what follows
	reader  *query.Reader
	memory  memory
	history history
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
	if (d.err == nil || d.active) && st.shown.Swap(d.active) != d.active {
		s.activity.notify(st)
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
func (s *Server) decideLocked(ctx context.Context, st *state, t *Metadata, start *start) (decision, error) {
	if err := s.openLocked(st); err != nil {
		return decision{}, err
	}
	s.opts.Queries.Steady() // notices that the clock was set
	survey, err := st.reader.Survey(ctx, start.newSince()+s.opts.Queries.ClockShift())
	if err != nil {
		return decision{}, err
	}
	m := &st.memory
	m.follow(s.opts.Queries.ClockShift())
	retention := s.opts.Queries.Retention().Milliseconds()
	c := assess(survey, retention)
	sit := situation{
		trigger: t, plan: st.plan, at: c.at,
		absent: !c.needed, silent: c.live == 0 && len(c.lost) == 0 && c.seen > 0, lost: len(c.lost), uncovered: c.uncovered,
		rejected: st.plan.Rejected(),
		monotone: st.plan.Monotone() && !survey.Negative,
		seen:     m.Seen || c.seen > 0, active: m.Active || !m.Known,
	}
	if start.without {
		sit.wait(start.warmUpEnd+m.shift, &c.until)
	}
	if !sit.seen {
		if sit.edited = s.objects.wasActive(st, m.shift); sit.edited && sit.absent {
			sit.near = st.plan.Near(ctx)
			c.until = min(c.until, c.at+tick.Milliseconds()) // KEDA may ask about the other trigger again
		}
		if start.without && st.first < start.warmUpEnd {
			m.Unknown = start.at + m.shift
		}
		if m.Unknown > 0 {
			sit.unknown = time.UnixMilli(m.Unknown)
		}
	}
	if c.needed {
		if err := sit.numbers(ctx, st, &c, retention, start); err != nil {
			return decision{}, err
		}
	}
	if c.seen > 0 {
		m.Seen, m.Ended = true, c.ended && c.live == 0 && !m.Short
	}
	sit.ended = m.Ended
	if !sit.monotone || m.Complete.At == 0 || sit.current.State != query.HasValue || sit.current.V < m.Complete.Value {
		sit.wait(m.returning, &c.until) // a lower bound that is high enough need not wait
	}
	d := sit.decide()
	if d.until = c.until; sit.stale || sit.rejected != nil {
		d.until = c.at // look again at the next opportunity
	}
	d.reader = st.reader
	m.after(&sit, &d, retention, st.plan.Span().Milliseconds())
	return d, nil
}

// wait holds until a moment (ms), if that is to come.
func (sit *situation) wait(end int64, until *int64) {
	if end > sit.at {
		sit.warmUp = time.UnixMilli(max(end, sit.warmUp.UnixMilli()))
		*until = min(*until, end)
	}
}

// numbers evaluates the query: as it is, with the lost series, and in hindsight.
func (sit *situation) numbers(ctx context.Context, st *state, c *completeness, retention int64, start *start) (err error) {
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
	past := m.Floors.expire(c.at-keep, c.at-retention, c.lost)
	sit.fading = m.outage(c, sit.active, past, c.at-retention, start.warmUpEnd-start.at)
	for _, losses := range m.Floors.newMoments(c.lost) {
		if losses[0].Arrived-m.shift <= start.restored { // the snapshot has the floor
			m.Floors.know(losses)
		} else if err := st.addFloor(ctx, c, losses, sit.monotone); err != nil {
			sit.stale = true // the next evaluation tries again
			break
		} else if sit.uncovered > 0 && m.Complete.At > c.at-keep { // not all was there then, either
			m.Floors.add(floor{At: losses[0].Arrived, Value: m.Complete.Value})
		}
	}
	if len(m.Floors.Entries) > 0 {
		c.until = min(c.until, m.Floors.Entries[0].At+keep) // when it expires
	}
	sit.floor = m.floor(sit, c.at-keep)
	return nil
}

// addFloor evaluates the query as of the moment when series became lost, over the
// series that were there then.
func (st *state) addFloor(ctx context.Context, c *completeness, losses []query.Silent, monotone bool) error {
	f := &st.memory.Floors
	without := make(map[query.SeriesID]struct{}, len(f.lost))
	for id := range f.lost {
		without[id] = struct{}{}
	}
	for _, id := range c.idle { // what they had then may stand beside a series that is lost since
		if _, stands := c.unloaded[id]; !stands && !monotone {
			without[id] = struct{}{}
		}
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
