package fleet

import (
	"fmt"
	"strings"
)

// Product is what a Model drives. Its clock is at Model.Now during each call.
type Product interface {
	// Push stores all of a sender's values; false if they were rejected.
	Push(s *Sender) bool
	// End stores a staleness marker for each of a sender's series.
	End(s *Sender)
	// SetFull has the product reject new series from now on, or not.
	SetFull(full bool)
	// Snapshot has the product write a snapshot.
	Snapshot()
	// Restart starts a new process, which restores the last snapshot if asked to.
	// It returns when that was taken; false if the process has started with nothing.
	Restart(restore bool) (taken float64, ok bool)
}

// Sender is a pod, or the gateway in front of the pods, that pushes its values.
type Sender struct {
	ID         int
	Gateway    bool // pushes the queue, not the pods' metrics
	NoB        bool
	Born, Gone float64
	Serves     bool // from its first push on, as after a readiness probe
	Share      float64
	Total      float64
	Capacity   float64

	weight   float64
	next     float64
	hung     bool
	silent   float64 // cut off until then
	failing  int     // how many of the next scrapes fail
	vanished float64 // when it took no load any more: it was removed or hung
	rejected float64 // when a push was rejected, if none was stored since; else -Inf
	refused  float64 // the same for a push with load
	stored   []push  // what the product has
}

// push is what a sender pushed, or a marker.
type push struct {
	at, share float64
	marker    bool
	// By how much restores have moved its arrival: the time between a snapshot and
	// the restart is no sender's silence.
	moved  float64
	learnt [2]learnt // if the product has removed the series before, and if it has not
}

// learnt is the push interval that the product has learnt, 0 if none, and whether the
// last push was late or early.
type learnt struct {
	interval      float64
	missed, extra bool
}

func (s *Sender) exists() bool { return s.Gone == never }

// last returns the newest sample that the product has, and whether a marker
// followed it.
func (s *Sender) last() (p push, ended, ok bool) {
	for i := len(s.stored) - 1; i >= 0; i-- {
		if !s.stored[i].marker {
			return s.stored[i], ended, true
		}
		ended = true
	}
	return p, false, false
}

func (s *Sender) String() string {
	if s.Gateway {
		return fmt.Sprintf("gateway %d", s.ID)
	}
	return fmt.Sprintf("pod %d", s.ID)
}

// Model is a random history of senders under a load, and the bounds of what may be
// reported. All of its chances come from one seed.
type Model struct {
	Random
	Interval, Jitter, Missed float64
	Now                      float64
	Down                     bool // no process answers
	Senders                  []*Sender
	Trace                    []string // the last events

	product     Product
	born        int
	load, queue float64
	noB         bool
	full        float64 // new series are rejected until then
	up          float64 // when the next process starts
	restore     bool
	started     float64 // when the current process started
	fresh       bool    // it started with nothing
	ops         []op
	mean        float64 // seconds between two operations
	due         float64 // of the next operation
	snapshotAt  float64

	moments  []moment
	shapes   []shapeState
	restores []restored
	others   map[int][2]float64 // what expectedOf has found since the last push, by sender
}

// restored is a start with the state of a moment.
type restored struct{ taken, at float64 }

// NewModel returns the history of a seed, which begins at 0.
func NewModel(seed uint64) *Model {
	m := &Model{Random: NewRandom(seed), up: never, started: -never, snapshotAt: 30, others: map[int][2]float64{}}
	m.Interval = []float64{1, 2, 5, 10, 15}[m.below(5)]
	if m.below(3) == 0 {
		m.Jitter = 0.1
	}
	if m.below(4) == 0 {
		m.Missed = 0.02
	}
	m.mean = m.between(4, 40)
	for _, o := range allOps {
		if m.below(2) == 0 { // fewer kinds of operations show longer chains of each
			m.ops = append(m.ops, o)
		}
	}
	m.shapes = newShapeStates()
	m.load, m.queue = m.between(5, 200), m.between(1, 50)
	m.logf("interval %v, jitter %v, missed %v, load %.3g, queue %.3g", m.Interval, m.Jitter, m.Missed, m.load, m.queue)
	for range 1 + m.below(10) {
		m.start()
	}
	m.add(true)
	m.due = 2*m.Interval + m.between(0, 60)
	return m
}

func (m *Model) below(n int) int              { return int(m.Float64() * float64(n)) }
func (m *Model) between(a, b float64) float64 { return a + (b-a)*m.Float64() }

func (m *Model) logf(format string, args ...any) {
	m.Trace = append(m.Trace, fmt.Sprintf("%7.2f ", m.Now)+fmt.Sprintf(format, args...))
	if len(m.Trace) > 60 {
		m.Trace = append(m.Trace[:0], m.Trace[20:]...)
	}
}

// String tells how the senders stand.
func (m *Model) String() string {
	var b strings.Builder
	for _, s := range m.Senders {
		p, ended, ok := s.last()
		if !ok && !s.exists() || ok && m.Now-p.at > 2*Retention {
			continue
		}
		fmt.Fprintf(&b, "  %v: share %.6g", s, s.Share)
		if ok {
			fmt.Fprintf(&b, ", last %.6g at %.2f", p.share, p.at)
		}
		for _, is := range []struct {
			what string
			so   bool
		}{{"ended", ended}, {"removed", !s.exists()}, {"hung", s.hung}, {"cut off", m.Now < s.silent}, {"rejected", m.isRejected(s)}} {
			if is.so {
				b.WriteString(", " + is.what)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Advance is one Step of the history.
func (m *Model) Advance(p Product) {
	m.product = p
	m.Now += Step
	clear(m.others)
	if m.Down && m.Now >= m.up {
		m.startProcess()
	}
	if m.full > 0 && m.Now >= m.full {
		m.full = 0
		m.product.SetFull(false)
		m.logf("new series are stored again")
	}
	for m.Now >= m.due {
		m.due += m.between(0, 2*m.mean)
		m.operate()
	}
	m.share()
	for _, s := range m.Senders {
		m.pushDue(s)
	}
	if !m.Down && m.Now >= m.snapshotAt {
		m.snapshotAt = m.Now + 30
		m.product.Snapshot()
	}
	m.forget()
	clear(m.others)
	m.record()
}

// startProcess starts the next process, to which the senders come back by themselves.
func (m *Model) startProcess() {
	m.Down, m.up = false, never
	taken, ok := m.product.Restart(m.restore)
	if !ok {
		taken = -never
	}
	m.started, m.fresh = m.Now, !ok
	backoff := []float64{3, 20, 118}[m.below(3)] // of gRPC, which doubles up to 120 s
	m.logf("the scaler starts, state as of %.2f, senders back off up to %v s", taken, backoff)
	for _, s := range m.Senders {
		n := 0
		for n < len(s.stored) && s.stored[n].at <= taken {
			n++
		}
		s.stored = s.stored[:n]
		m.arrive(s, taken)
		s.rejected, s.refused = -never, -never
		if s.exists() && s.Serves {
			s.next = max(s.silent, m.Now+m.between(0, backoff))
			s.silent = s.next
		}
	}
	m.restarted(taken)
}

// arrive moves what arrived before a snapshot by the time between it and the restart.
func (m *Model) arrive(s *Sender, taken float64) {
	for i := range s.stored {
		s.stored[i].moved += m.Now - taken
	}
}

// silence returns for how long the product takes a sender to have been silent since a
// push.
func (m *Model) silence(p push) float64 { return m.Now - p.at - p.moved }

// isRestored reports whether a push is from a snapshot: its series is late until it is
// pushed again.
func (m *Model) isRestored(p push) bool { return p.at < m.started }

// share has the serving senders share the load. One that pushes for the first time
// in this step serves.
func (m *Model) share() {
	var weight [2]float64
	for _, s := range m.Senders {
		if s.exists() && !s.hung && !s.Serves && s.next <= m.Now {
			s.Serves, s.vanished = true, never
		}
		if s.Serves {
			weight[index(s)] += s.weight
		}
	}
	for _, s := range m.Senders {
		s.Share = 0
		if s.Serves {
			s.Share = []float64{m.load, m.queue}[index(s)] * s.weight / weight[index(s)]
		}
		s.Total += s.Share * Step
	}
}

func index(s *Sender) int {
	if s.Gateway {
		return 1
	}
	return 0
}

func (m *Model) pushDue(s *Sender) {
	if !s.exists() {
		return
	}
	for s.next <= m.Now {
		s.next += m.Interval * m.between(1-m.Jitter, 1+m.Jitter)
		switch {
		case s.hung || m.Now < s.silent || m.Down:
		case len(s.stored) == 0: // the first scrape succeeds, as the probe did
			m.push(s)
		case s.failing > 0:
			s.failing--
			m.mark(s)
		case m.Missed > 0 && m.Float64() < m.Missed:
			m.logf("a scrape of %v is missed", s)
		default:
			m.push(s)
		}
	}
}

func (m *Model) push(s *Sender) {
	if !m.product.Push(s) {
		s.rejected = m.Now
		if s.Share > 0 {
			s.refused = m.Now
		}
		m.logf("%v is rejected", s)
		return
	}
	m.returned(s)
	s.stored = append(s.stored, m.learn(s, push{at: m.Now, share: s.Share}))
	s.rejected, s.refused = -never, -never
}

// forget drops what no bound refers to any more. Restores keep the series of a sender
// for longer.
func (m *Model) forget() {
	kept := m.Senders[:0]
	for _, s := range m.Senders {
		if n := len(s.stored); n > 400 {
			s.stored = append(s.stored[:0], s.stored[n-200:]...)
		}
		if p, _, ok := s.last(); s.exists() || m.Now-s.Gone < 3*Retention || ok && m.silence(p) < 2*Retention {
			kept = append(kept, s)
		}
	}
	clear(m.Senders[len(kept):])
	m.Senders = kept
}

// longest is the longest time between two pushes of a sender of which none failed.
func (m *Model) longest() float64 { return m.Interval*(1+m.Jitter) + Step }

// learn returns a push with the interval that the product learns from it: from those
// that come early or late if there are two in a row. So cuts,
// failed and missed scrapes let it expect a sender sooner or later for a while. A series
// that is silent for long is removed, by one of the sweeps.
func (m *Model) learn(s *Sender, p push) push {
	const sweep = 5 + 2*Step
	prev, ended, ok := s.last()
	gap := m.Now - prev.at - prev.moved
	for i, l := range prev.learnt {
		idle := gap - Retention - 1.5*l.interval
		switch {
		case !ok || idle > sweep || idle > 0 && i == 0:
		case m.isRestored(prev):
			p.learnt[i].interval = l.interval
		case ended:
			p.learnt[i] = l
		default:
			p.learnt[i] = l.after(min(gap, Retention))
		}
	}
	return p
}

func (l learnt) after(gap float64) learnt {
	before := l
	l.missed, l.extra = false, false
	switch {
	case l.interval == 0, 4*gap <= 3*l.interval && before.extra:
		l.interval = gap
	case 4*gap <= 3*l.interval:
		l.extra = true
	case 2*gap > 3*l.interval:
		if l.missed = true; before.missed {
			l.interval = min(gap, 2*l.interval)
		}
	default:
		l.interval = (3*l.interval + gap) / 4
	}
	return l
}

// expected returns the least and the greatest interval at which the product expects a
// sender. Of one with a single push it is the longest of the others.
func (m *Model) expected(s *Sender) (least, greatest float64) {
	p, _, _ := s.last()
	return m.expectedAfter(s, p)
}

// expectedAfter is expected as of one of the sender's pushes.
func (m *Model) expectedAfter(s *Sender, p push) (least, greatest float64) {
	least, greatest = m.expectedOf(s, p.learnt[0])
	if p.learnt[0] != p.learnt[1] {
		a, b := m.expectedOf(s, p.learnt[1])
		least, greatest = min(least, a), max(greatest, b)
	}
	return least, greatest
}

func (m *Model) expectedOf(s *Sender, l learnt) (least, greatest float64) {
	if l.interval > 0 {
		return l.interval, l.interval
	}
	if known, ok := m.others[s.ID]; ok {
		return known[0], known[1]
	}
	least, greatest = Retention, 0
	known := false // a series with an interval is certainly stored
	for _, o := range m.Senders {
		if o.Gateway != s.Gateway {
			continue
		}
		for _, p := range o.stored[max(0, len(o.stored)-20):] {
			for _, l := range p.learnt {
				if l.interval > 0 {
					if least = min(least, l.interval); o != s { // its own is removed with it
						greatest = max(greatest, l.interval)
						last, _, _ := o.last()
						known = known || m.Now-last.at < Retention
					}
				}
			}
		}
	}
	if !known {
		greatest = Retention
	}
	m.others[s.ID] = [2]float64{least, greatest}
	return least, greatest
}

// soonest is after which silence a series is late at the earliest.
func (m *Model) soonest(s *Sender) float64 {
	p, _, _ := s.last()
	return m.soonestAfter(s, p)
}

func (m *Model) soonestAfter(s *Sender, p push) float64 {
	least, _ := m.expectedAfter(s, p)
	return min(max(1.5*least, 2), Retention) - 0.01 // the product counts in ms
}

// late is after which silence a series is late at the latest.
func (m *Model) late(s *Sender) float64 {
	_, greatest := m.expected(s)
	return min(max(1.5*greatest, 2), Retention) + Tick
}
