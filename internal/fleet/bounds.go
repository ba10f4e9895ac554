package fleet

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Bounds are what may be reported for a shape at a moment, unless the product holds.
type Bounds struct {
	Low, High float64 // -Inf and +Inf where the model does not know
	Busy      bool    // 0 is wrong
	why       string  // how Low came about
	// What Low and High were made of.
	floor, carried, visible, vanished float64
}

func (b *Bounds) String() string {
	return fmt.Sprintf("from %.6g (%s) to %.6g; floor %.6g, carried %.6g, highest visible %.6g, vanished %.6g, busy %v",
		b.Low, b.why, b.High, b.floor, b.carried, b.visible, b.vanished, b.Busy)
}

// Bounds returns what may be reported now for one of the Shapes. It is to be called
// after Advance, while a process answers.
//
// The lower bound is the decision's own rule with the model's knowledge, on the safe
// side where a series may or may not be late: for monotone shapes
// max(current, min(floor, carried)), for differences max(floor, carried), for
// quotients carried (a floor of a quotient has other senders in it, so it bounds
// nothing). While senders are expected back after a start with nothing, and while
// series are rejected, the load since the last complete moment bounds the monotone
// shapes, too. A rate is not below 85 % of the lowest load that its windows can
// cover, and less where the window is of few push intervals.
//
// The upper bound is the highest visible load of the last retention and the last
// values of the senders that vanished within 1.5 intervals; for maxima and quotients
// the greatest single value of the last retention; for differences the highest
// load and all that is carried, since only monotone shapes have floors as a limit.
func (m *Model) Bounds(i int) Bounds {
	st := &m.shapes[i]
	b := Bounds{Low: -never, Busy: st.seen < never}
	switch Shapes[i].kind {
	case rate:
		m.lowRate(i, &b)
	default:
		m.low(i, &b)
	}
	if (st.fresh > -never && m.Now < st.fresh+Retention && !m.allBack(i)) && Shapes[i].monotone() {
		m.raise(&b, lowest(m.since(st.complete-m.longest()), func(x *moment) float64 { return x.truth[i] }), "senders are expected back")
	}
	if st.rejecting < never && Shapes[i].monotone() {
		m.raise(&b, lowest(m.since(st.completeKnown-m.longest()), func(x *moment) float64 { return x.known[i] }), "series are rejected")
	}
	m.high(i, &b)
	return b
}

func (s *Shape) monotone() bool { return s.kind == sum || s.kind == maximum }

func (m *Model) raise(b *Bounds, low float64, why string) {
	if low > b.Low && low < never {
		b.Low, b.why = low, why
	}
}

func lowest(all []moment, of func(*moment) float64) float64 {
	low := never
	for i := range all {
		low = min(low, of(&all[i]))
	}
	return low
}

// allBack reports whether all serving senders have pushed since the process, or the
// query, has started with nothing.
func (m *Model) allBack(i int) bool {
	for _, s := range m.Senders {
		if !s.Serves || !Shapes[i].reads(s) {
			continue
		}
		if p, _, ok := s.last(); !ok || p.at < m.shapes[i].fresh || !m.isFresh(s) {
			return false
		}
	}
	return true
}

func (m *Model) low(i int, b *Bounds) {
	shape := &Shapes[i]
	current, carried := result{kind: shape.kind}, result{kind: shape.kind}
	any, possible := false, []result(nil)
	var lost []loss
	for _, s := range m.Senders {
		p, ended, ok := s.last()
		num, den, reads := shape.of(s, p.share)
		if !ok || !reads {
			continue
		}
		silence := m.silence(p)
		certainly, possibly := m.kept(i, s)
		switch {
		case m.isFresh(s):
			current.add(num, den)
			carried.add(num, den)
			any = true
		case silence < certainly:
			carried.add(num, den)
			any = true
			if num == 0 && shape.kind != difference {
				break // it takes nothing away
			}
			lost = append(lost, m.loss(s, p, ended))
		case silence < possibly:
			possible = append(possible, result{shape.kind, num, den})
		}
	}
	if !any {
		return
	}
	floor := m.floor(shape, lost)
	b.floor, b.carried = floor, carried.value()
	switch shape.kind {
	case quotient:
		// Of those that may or may not be forgotten, as many as make it least.
		slices.SortFunc(possible, func(a, b result) int { return cmp.Compare(a.value(), b.value()) })
		for _, r := range possible {
			if with := (result{quotient, carried.num + r.num, carried.den + r.den}); with.value() < carried.value() {
				carried = with
			}
		}
		m.raise(b, carried.value(), "carried")
	case difference:
		m.raise(b, carried.value(), "carried")
		if slices.ContainsFunc(lost, func(l loss) bool { return l.latest <= m.Now }) {
			m.raise(b, floor, "floor")
		}
	default:
		m.raise(b, min(floor, carried.value()), "min(floor, carried)")
		m.raise(b, current.value(), "current")
	}
}

// loss is a series that is not fresh but certainly remembered, and between which
// moments it is found to be lost.
type loss struct {
	s                    *Sender
	at, earliest, latest float64
	// own is set if it may have an entry of its own, restored if it may have that of
	// the snapshot: all that were live then are lost at once.
	own, restored bool
}

func (m *Model) loss(s *Sender, p push, ended bool) loss {
	l := loss{s: s, at: p.at, earliest: p.at + m.soonest(s), latest: p.at + m.late(s), own: true}
	if ended {
		marked := s.stored[len(s.stored)-1].at
		l.earliest, l.latest = min(l.earliest, marked), min(l.latest, marked+Tick)
	}
	if m.isRestored(p) {
		taken := m.restores[len(m.restores)-1].taken
		if l.latest > taken {
			l.restored, l.latest = true, m.started+Tick
		}
		if l.earliest > taken {
			l.own, l.earliest = false, m.started
		}
	}
	return l
}

// floor returns the least that the highest entry can be: the product finds the losses
// one after the other, and an entry lacks the series of which it knew by then that
// they were lost. So of all whose order is not certain, the one that may have been
// first counts that lacks most. +Inf if nothing may be lost yet, -Inf if entries may
// have expired.
func (m *Model) floor(shape *Shape, lost []loss) float64 {
	type entryKey struct{ loss, before int }
	seen := map[entryKey]float64{}
	first := func(before, among func(l *loss) bool) float64 {
		low, known := never, 0
		for i := range lost {
			if before(&lost[i]) {
				known++
			}
		}
		for i := range lost {
			l := &lost[i]
			if !among(l) || before(l) {
				continue
			}
			at := l.at
			if l.restored {
				at = m.started
			}
			if m.Now-at >= Retention-m.longest()-2*Tick {
				return -never
			}
			key := entryKey{i, known} // of two sets of known losses one contains the other
			value, ok := seen[key]
			if !ok {
				value = never
				if l.own {
					value = lowest(m.around(l.at), func(x *moment) float64 { return m.entry(shape, x, l, lost, before) })
				}
				if l.restored {
					value = min(value, m.atSnapshot(shape))
				}
				seen[key] = value
			}
			low = min(low, value)
		}
		return low
	}
	floor := -never
	certain := false
	for i := range lost {
		q := &lost[i]
		if q.latest > m.Now {
			continue
		}
		certain = true
		floor = max(floor, first(
			func(l *loss) bool { return l.latest < q.earliest },
			func(l *loss) bool { return l.earliest <= q.latest }))
	}
	if certain {
		return floor
	}
	return first(func(*loss) bool { return false }, func(*loss) bool { return true })
}

// atSnapshot is the least that the query was by the last evaluation before the snapshot
// was taken, over the senders that were not late.
func (m *Model) atSnapshot(shape *Shape) float64 {
	taken := m.restores[len(m.restores)-1].taken
	all := m.since(taken - Tick)
	for len(all) > 0 && all[len(all)-1].at > taken {
		all = all[:len(all)-1]
	}
	return lowest(all, func(x *moment) float64 {
		r := result{kind: shape.kind}
		for _, f := range x.fresh {
			if num, den, reads := shape.of(f.s, f.push.share); reads {
				r.add(num, den)
			}
		}
		return r.value()
	})
}

// entry is the query over the senders that were fresh at a moment, as an entry for a
// loss must have it: without those that are lost before it, and without those that
// have returned or been forgotten since, but may have been lost meanwhile.
func (m *Model) entry(shape *Shape, x *moment, of *loss, lost []loss, before func(*loss) bool) float64 {
	r := result{kind: shape.kind}
	for _, f := range x.fresh {
		num, den, reads := shape.of(f.s, f.push.share)
		if !reads {
			continue
		}
		j := slices.IndexFunc(lost, func(l loss) bool { return l.s == f.s })
		if j >= 0 && before(&lost[j]) || !m.steady(f.s, f.push, of.latest, j >= 0 || m.isFresh(f.s)) {
			continue
		}
		r.add(num, den)
	}
	return r.value()
}

// steady reports whether a sender has neither paused for so long nor ended between
// two times. What it does after its last sample counts only if it is not known.
func (m *Model) steady(s *Sender, from push, to float64, known bool) bool {
	last, _, _ := s.last()
	at, before := from.at, from
	n, _ := slices.BinarySearchFunc(s.stored, from.at, func(p push, from float64) int { return cmp.Compare(p.at, from) })
	for _, p := range s.stored[n:] {
		switch {
		case p.at <= from.at:
		case at > to || at >= last.at:
			return known || at > to
		case p.marker || p.at-at >= m.soonestAfter(s, before):
			return false
		default:
			at, before = p.at, p
		}
	}
	return known || at > to
}

func (m *Model) lowRate(i int, b *Bounds) {
	reach := Window + Retention + 2*m.longest()
	if st := &m.shapes[i]; m.Now-st.disturbed < reach || m.moments[0].at > m.Now-reach {
		return
	}
	// Load that moves to a new sender is not counted again before that has pushed twice.
	// The load moves, and pods push, within a Step.
	share := min(0.85, 1-(m.longest()+Step)/Window)
	m.raise(b, share*lowest(m.since(m.Now-reach), func(x *moment) float64 { return x.truth[i] }), "most of the lowest load within reach")
}

func (m *Model) high(i int, b *Bounds) {
	shape, st := &Shapes[i], &m.shapes[i]
	from, factor := m.Now-Retention-2*m.longest()-2*Tick, 1.0
	if shape.kind == rate {
		from -= Window
		factor = 1.3 // extrapolated by up to half an interval at both ends of the window
	}
	rejected := m.Now-st.rejected < Retention
	for _, r := range slices.Backward(m.restores) {
		if from < r.at { // entries are moved like arrivals
			from -= r.at - r.taken
		}
	}
	if rejected {
		from = 0 // the last complete value may be as old
	}
	high := 0.0
	all := m.since(from)
	for j := range all {
		x := &all[j]
		leaving := x.leavingEntry[i]
		if rejected || m.Now-st.ended < Retention {
			leaving = x.leaving[i]
		}
		high = max(high, x.visible[i]+leaving)
	}
	gone := 0.0
	for _, s := range m.Senders {
		p, _, ok := s.last()
		if num, _, reads := shape.of(s, p.share); reads && ok && !s.Serves && shape.kind != maximum && shape.kind != quotient {
			vanished := m.late(s)
			if shape.kind == difference {
				vanished = Retention + m.longest() + Tick
			}
			if m.Now-max(s.vanished, m.started) < vanished {
				gone += num
			}
		}
	}
	b.High = factor * (high + gone)
	b.visible, b.vanished = high, gone
}

// Excess returns by how much a reported value is out of bounds, 0 if it is not.
func (b *Bounds) Excess(v float64) float64 {
	tolerance := 1e-9 * math.Max(1, math.Abs(v))
	switch {
	case v < b.Low-tolerance:
		return v - b.Low
	case v > b.High+tolerance:
		return v - b.High
	case b.Busy && v <= 0:
		return -never
	}
	return 0
}
