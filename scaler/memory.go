package scaler

import (
	"cmp"
	"slices"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// memory is what a trigger's next decision needs of those before. Its exported fields
// are in the snapshot.
type memory struct {
	Seen     bool   `json:"seen,omitempty"`    // it had series
	Ended    bool   `json:"ended,omitempty"`   // their senders ended all of them, when there were any last
	Known    bool   `json:"known,omitempty"`   // Active is known
	Active   bool   `json:"active,omitempty"`  // as decided last, not counting what onMissing decided
	Complete floor  `json:"complete,omitzero"` // the last complete value
	Floors   floors `json:"floors,omitzero"`
	// Unknown is when the scaler started without a snapshot (ms), if KEDA asked before
	// the warm-up was over: the trigger may have had series before. It is 0 otherwise.
	Unknown int64 `json:"unknown,omitempty"`

	// Outage is after which moment (ms) all series pushed last that were lost together,
	// so that none pushed. It is 0 otherwise, and again when none of them is lost.
	Outage int64 `json:"outage,omitempty"`
	// Short is set when some of them are forgotten, so that the others are only a part.
	Short bool `json:"short,omitempty"`

	back      bool  // some of them are back
	returning int64 // until when the others are expected back, in ms; 0 if they are not
	shift     int64 // of the store's clock, that these times include, in ms
}

// outage follows the loss of all series at one time, from what became of lost series
// since the last call. It reports whether none pushes and those that are left are only
// a part. When some are back it begins the time (patience, in ms) in which the others
// are expected, as after a start. Series that pushed last before the moment forgotten (ms)
// are forgotten.
func (m *memory) outage(c *completeness, active bool, past expired, forgotten, patience int64) (part bool) {
	if m.Outage > 0 && m.Floors.lost == nil && forgotten > m.Outage {
		m.Short = m.Short || active // restored, and KEDA asks so late that some may be forgotten
	}
	if m.Outage == 0 && c.live == 0 && len(c.lost) > 0 && !c.ended {
		m.Outage = c.latest - c.patience()
	}
	if m.Outage > 0 {
		m.back = m.back || past.back > m.Outage
		some := past.forgotten > m.Outage && (m.back || c.live == 0)
		last := past.forgotten > 0 && c.live == 0 && c.ended // of those that were not ended
		m.Short = m.Short || active && (some || last)
	}
	switch {
	case c.live == 0:
		if c.ended && !m.Short {
			m.Outage = 0 // their senders ended all of them after all
		}
		return m.Short
	case m.Short:
		m.Outage, m.Short, m.back, m.returning = 0, false, false, c.at+patience
	case m.Floors.newest() <= m.Outage: // none of them is lost any more
		m.Outage, m.back = 0, false
	}
	return false
}

// after takes note of a decision.
func (m *memory) after(sit *situation, d *decision, retention, span int64) {
	if d.err == nil && d.cause != causeOnMissing {
		m.Known, m.Active = true, d.active
	} else if d.active {
		m.Known, m.Active = true, true
	}
	if d.err != nil && d.cause != causeHoldWarmUp && sit.absent && m.Seen && sit.active && !sit.ended { // also while series are rejected
		m.Short = true
	}
	if d.at >= m.returning {
		m.returning = 0
	}
	if sit.rejected != nil && sit.floor.ok && sit.rejection() == causeHoldRejected {
		m.Complete.At = d.at // it counts as long as rejections by a limit continue
	}
	if d.complete {
		m.Complete = floor{d.at, d.value}
	}
	if sit.lost == 0 && sit.uncovered == 0 && (d.complete || d.at-m.Complete.At > max(retention, span)) {
		m.Floors, m.Outage, m.back = floors{}, 0, false
	}
}

// floor returns what the query was at least when everything was there, after a moment
// (ms). Where series are only lost, that is the highest entry. Otherwise an entry may
// lack what was missing already, and the last complete value counts as well.
func (m *memory) floor(sit *situation, after int64) number {
	highest, ok := m.Complete.Value, m.Complete.At > after
	if len(m.Floors.Entries) > 0 {
		v := m.Floors.Entries[0].Value
		if !sit.stale && sit.uncovered == 0 && sit.rejected == nil {
			return number{v, true}
		}
		highest = max(highest, v)
	}
	return number{highest, ok}
}

// follow adds to all times what the clock was set by since.
func (m *memory) follow(shift int64) {
	m.move(shift - m.shift)
	m.shift = shift
}

// move adds d ms to all times.
func (m *memory) move(d int64) {
	for _, t := range []*int64{&m.Complete.At, &m.Outage, &m.returning} {
		if *t != 0 {
			*t += d
		}
	}
	for i := range m.Floors.Entries {
		m.Floors.Entries[i].At += d
	}
	for id := range m.Floors.lost {
		m.Floors.lost[id] += d
	}
}

// floors are a trigger's values in hindsight: what the query was when series were
// there last that are lost since. The highest counts.
type floors struct {
	Entries []floor                  `json:"entries,omitempty"` // each higher than all that are newer
	lost    map[query.SeriesID]int64 // those that have an entry, by their last arrival (ms)
}

// floor is an entry: the value at a moment, in ms.
type floor struct {
	At    int64   `json:"at"`
	Value float64 `json:"value"`
}

// maxFloors bounds the entries of a trigger.
const maxFloors = 128

const (
	// sharedMoment is how close losses share an evaluation, in ms.
	sharedMoment = 1000
	// maxMoments is how many losses at once have an evaluation of their own. A shared one
	// is of values from before some of the series pushed last.
	maxMoments = 16
)

// add adds an entry. What is older and not higher will never count again.
func (f *floors) add(e floor) {
	f.Entries = slices.DeleteFunc(f.Entries, func(o floor) bool { return o.Value <= e.Value && o.At <= e.At })
	if slices.ContainsFunc(f.Entries, func(o floor) bool { return o.Value >= e.Value && o.At >= e.At }) {
		return
	}
	f.Entries = append(f.Entries, e)
	slices.SortFunc(f.Entries, func(a, b floor) int { return cmp.Compare(a.At, b.At) })
	if len(f.Entries) > maxFloors {
		f.Entries = append(f.Entries[:1:1], f.Entries[len(f.Entries)-maxFloors+1:]...) // the highest stays
	}
}

// know takes note of losses that have an entry.
func (f *floors) know(losses []query.Silent) {
	if f.lost == nil {
		f.lost = map[query.SeriesID]int64{}
	}
	for i := range losses {
		f.lost[losses[i].ID] = losses[i].Arrived
	}
}

// expired is when series were pushed last that are no longer lost: of those that are
// forgotten, and of those that are back, the newest; ms.
type expired struct{ forgotten, back int64 }

// expire removes entries from before a moment (ms), and the series that are no longer
// lost. One is forgotten if it was pushed last before another moment.
func (f *floors) expire(before, forgotten int64, lost []query.Silent) (past expired) {
	f.Entries = slices.DeleteFunc(f.Entries, func(e floor) bool { return e.At <= before })
	if len(f.lost) == 0 {
		return past
	}
	still := make(map[query.SeriesID]int64, len(lost))
	for i := range lost {
		if at, ok := f.lost[lost[i].ID]; ok && at == lost[i].Arrived {
			still[lost[i].ID] = at
			delete(f.lost, lost[i].ID)
		}
	}
	for _, at := range f.lost {
		if at <= forgotten {
			past.forgotten = max(past.forgotten, at)
		} else {
			past.back = max(past.back, at)
		}
	}
	f.lost = still
	return past
}

// newest returns when any of the lost series was pushed last, in ms; 0 if there is none.
func (f *floors) newest() (at int64) {
	for _, arrived := range f.lost {
		at = max(at, arrived)
	}
	return at
}

// newMoments returns the moments of losses that have no entry yet, oldest first,
// each with the series that became lost then. Where there are many, those within one
// second share a moment, the first, at which all of them were there.
func (f *floors) newMoments(lost []query.Silent) (moments [][]query.Silent) {
	var unknown []query.Silent
	for i := range lost {
		if at, ok := f.lost[lost[i].ID]; !ok || at != lost[i].Arrived {
			unknown = append(unknown, lost[i])
		}
	}
	var shared int64
	if len(unknown) > maxMoments {
		shared = sharedMoment
	}
	for i := range unknown {
		if last := len(moments) - 1; last >= 0 && unknown[i].Arrived-moments[last][0].Arrived <= shared {
			moments[last] = append(moments[last], unknown[i])
			continue
		}
		moments = append(moments, unknown[i:i+1:i+1])
	}
	return moments
}
