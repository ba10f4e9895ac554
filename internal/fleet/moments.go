package fleet

import "slices"

// moment is what was true at the end of a step, for each shape.
type moment struct {
	at float64
	// fresh are the senders that have not missed a push, were not removed, ended or
	// hung: what the product has to look back to when one of them is lost after
	// this moment.
	fresh []freshSender
	// visible is the query over the last stored values of all senders that exist and
	// work; for a quotient the greatest single one.
	visible []float64
	// leaving is what visible lacks of the senders that vanished within 1.5 intervals:
	// they are not late yet. An entry has none of them but those of the last second,
	// with which it shares an evaluation, and of those that the product expects for
	// longer than the one that is lost, unless it is for an ended series, which is lost
	// at once.
	leaving, leavingEntry []float64
	// truth is the query over the real shares, and known the same without the
	// senders that were silent for so long that they may be forgotten.
	truth, known []float64
	// complete is when known was visible last.
	complete []float64
}

type freshSender struct {
	s    *Sender
	push push
}

// shapeState is what outlasts a moment.
type shapeState struct {
	complete      float64 // when truth was visible last, nothing being lost
	completeKnown float64 // the same for known
	busy          float64 // since when truth has been above 0
	seen          float64 // when a push has shown that; +Inf if none has
	fresh         float64 // the senders are expected back since then; -Inf if they are not
	disturbed     float64 // when something happened that a rate's lower bound does not cover
	rejecting     float64 // since when a series has been rejected; +Inf if none is
	rejected      float64 // when one was last
	ended         float64 // when a series that had ended was remembered last
}

func newShapeStates() []shapeState {
	all := make([]shapeState, len(Shapes))
	for i := range all {
		all[i] = shapeState{complete: -never, completeKnown: -never, busy: never, seen: never, fresh: -never, disturbed: -never, rejecting: never, rejected: -never, ended: -never}
	}
	return all
}

// isFresh reports whether a sender has not missed a push, and has pushed since the
// process has started.
func (m *Model) isFresh(s *Sender) bool {
	p, ended, ok := s.last()
	return ok && !ended && s.Serves && m.Now-p.at <= min(m.longest(), m.soonest(s)) && !m.isRestored(p)
}

// kept returns until which silence a sender's series is certainly, and possibly,
// remembered after its last sample. One that ended counts for three intervals if
// others go on, and like a silent one if not.
func (m *Model) kept(i int, s *Sender) (certainly, possibly float64) {
	certainly, possibly = Retention-Tick, Retention+m.longest()+Tick
	if _, ended, _ := s.last(); !ended {
		return certainly, possibly
	}
	interval, _ := m.expected(s)
	marked := s.stored[len(s.stored)-1].at
	for _, o := range m.Senders {
		if o == s || !Shapes[i].reads(o) {
			continue
		}
		if p, _, ok := o.last(); ok && p.at > marked {
			return min(certainly, max(0, 3*interval-Step-Tick)), possibly
		}
	}
	return certainly, possibly
}

// returned notes that a sender's push is about to be stored: if all others of a
// query were lost together and forgotten, the product is as if it had just started.
func (m *Model) returned(*Sender) {
	for i := range m.shapes {
		newest, oldest, away := -never, never, 0
		for _, s := range m.Senders {
			if !Shapes[i].reads(s) {
				continue
			}
			p, _, ok := s.last()
			if !ok {
				continue
			}
			arrived := p.at + p.moved
			newest = max(newest, arrived)
			if s.Serves {
				oldest = min(oldest, arrived)
				away++
			}
		}
		if away > 0 && m.Now-newest > Retention+m.longest() && newest-oldest < m.longest() {
			m.shapes[i].fresh = m.Now
		}
	}
}

// restarted notes that a process has started with the state of a moment.
func (m *Model) restarted(taken float64) {
	n := len(m.moments) - len(m.since(taken+Step/2))
	if !m.fresh {
		m.restores = append(m.restores, restored{taken, m.Now})
	}
	for j := range m.moments {
		m.moments[j].restored(taken)
	}
	for i := range m.shapes {
		st := &m.shapes[i]
		st.disturbed = m.Now
		if st.fresh = -never; m.fresh {
			st.fresh = m.Now
		} else {
			// The last complete value counts for one retention after the last rejection that
			// the process knows of, and is moved like arrivals.
			st.rejected = min(st.rejected, taken) + m.Now - taken
			if st.seen > taken {
				st.seen = never // the state is of an idle query
			}
		}
		if st.completeKnown = -never; n > 0 {
			st.completeKnown = m.moments[n-1].complete[i]
		}
	}
}

// restored takes from a moment what the next process does not know of it, which has the
// state of the moment taken: what came afterwards. A rate has that all the same once the
// counters are pushed again. The value at the snapshot is an entry, in which those count
// that are not late yet.
func (x *moment) restored(taken float64) {
	switch {
	case x.at > taken+Step/2:
		for i := range Shapes {
			if Shapes[i].kind != rate {
				x.visible[i], x.leaving[i], x.leavingEntry[i] = 0, 0, 0
			}
		}
	case x.at >= taken-Tick:
		copy(x.leavingEntry, x.leaving)
	}
}

// record takes down the moment.
func (m *Model) record() {
	n := len(Shapes)
	all := make([]float64, 6*n)
	now := moment{at: m.Now, visible: all[:n], leaving: all[n : 2*n], leavingEntry: all[2*n : 3*n], truth: all[3*n : 4*n], known: all[4*n : 5*n], complete: all[5*n:]}
	for _, s := range m.Senders {
		if m.isFresh(s) {
			p, _, _ := s.last()
			now.fresh = append(now.fresh, freshSender{s, p})
		}
	}
	for i := range Shapes {
		m.recordShape(i, &now)
	}
	m.moments = append(m.moments, now)
}

func (m *Model) recordShape(i int, now *moment) {
	shape, st := &Shapes[i], &m.shapes[i]
	if m.allBack(i) {
		st.fresh = -never
	}
	truth, known := result{kind: shape.kind}, result{kind: shape.kind}
	visible, leaving, entry := 0.0, 0.0, 0.0
	complete, completeKnown, cut, ended, rejecting, seen := true, true, false, false, false, false
	soonest := m.soonestOf(shape)
	// When senders pushed last that were cut off under load, and are not back.
	first, last := never, -never
	for _, s := range m.Senders {
		if !shape.reads(s) {
			continue
		}
		p, marked, ok := s.last()
		num, den, _ := shape.of(s, p.share)
		silence := m.silence(p)
		forgotten := ok && m.mayBeForgotten(i, s, silence) || !ok && !m.isRefused(s)
		switch {
		case m.isFresh(s):
			seen = seen || num > 0
		case s.Serves:
			complete = false
			completeKnown = completeKnown && forgotten
			cut = cut || !marked
		case ok && silence < Retention+m.longest():
			complete, completeKnown = false, false // it may be among the lost
		}
		if s.Serves {
			n, d, _ := shape.of(s, s.Share)
			truth.add(n, d)
			if !forgotten {
				known.add(n, d)
			}
		}
		if ok && !marked && !m.isFresh(s) && silence < Retention+m.longest() && (s.Serves || s.vanished > p.at+m.longest()) {
			first, last = min(first, p.at), max(last, p.at)
		}
		single := num
		if shape.kind == quotient {
			single /= den
		}
		switch {
		case !ok:
		case s.Serves || shape.kind == maximum || shape.kind == quotient:
			if shape.kind == maximum || shape.kind == quotient {
				visible = max(visible, single)
			} else {
				visible += num
			}
		case m.Now-s.vanished <= Tick+Step || m.Now-s.vanished <= m.late(s) && m.Now+soonest <= p.at+m.late(s):
			leaving += num
			entry += num
		case m.Now-s.vanished <= m.late(s):
			leaving += num
		}
		ended = ended || marked && silence < 2*Retention
		// A push without load is no load that is rejected, although a count counts it.
		rejecting = rejecting || m.isRefused(s)
		if m.isRejected(s) {
			st.rejected = m.Now
		}
		if s.failing > 0 || marked && s.exists() || forgotten && s.Serves {
			st.disturbed = m.Now
		}
	}
	if ended {
		st.ended = m.Now
	}
	now.visible[i], now.leaving[i], now.leavingEntry[i] = visible, leaving, entry
	now.truth[i], now.known[i] = truth.value(), known.value()
	// What is carried of a series that ended counts in part. The entry of a loss lacks the
	// series that were lost before it, even when these are back.
	if rejecting || cut && ended || last-first > m.longest() || m.Down {
		st.disturbed = m.Now
	}
	if rejecting = rejecting || m.Down && st.rejecting < never; !rejecting {
		st.rejecting = never
	} else if st.rejecting == never {
		st.rejecting = m.Now
	}
	if complete && !rejecting {
		st.complete = m.Now
	}
	if completeKnown && !rejecting {
		st.completeKnown = m.Now
	}
	now.complete[i] = st.completeKnown
	switch {
	case truth.value() <= 0:
		st.busy, st.seen = never, never
	case st.busy == never:
		st.busy = m.Now
	case seen && m.Now > st.busy+m.longest():
		st.seen = min(st.seen, m.Now)
	}
}

// soonestOf returns the least silence after which any series of a query is late.
func (m *Model) soonestOf(shape *Shape) float64 {
	least := never
	for _, s := range m.Senders {
		if _, _, ok := s.last(); ok && shape.reads(s) {
			least = min(least, m.soonest(s))
		}
	}
	return least
}

func (m *Model) mayBeForgotten(i int, s *Sender, silence float64) bool {
	certainly, _ := m.kept(i, s)
	return silence >= min(certainly, Retention-2*m.longest())
}

// isRejected reports whether rejections of a sender continue.
func (m *Model) isRejected(s *Sender) bool { return s.exists() && m.Now-s.rejected <= m.longest() }

// isRefused reports the same for load.
func (m *Model) isRefused(s *Sender) bool { return s.exists() && m.Now-s.refused <= m.longest() }

// since returns the moments from a time on.
func (m *Model) since(t float64) []moment {
	n, _ := slices.BinarySearchFunc(m.moments, t, func(a moment, t float64) int {
		if a.at < t {
			return -1
		}
		return 1
	})
	return m.moments[n:]
}

// around returns the moments within a second of a sample: losses within a second
// share an evaluation.
func (m *Model) around(t float64) []moment {
	all := m.since(t - Tick)
	n := 0
	for n < len(all) && all[n].at <= t+Tick {
		n++
	}
	return all[:n]
}
