package fleet

import (
	"cmp"
	"flag"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

var seeds = flag.Uint64("seeds", 20, "how many histories TestIdealStaysWithinBounds plays")

// TestIdealStaysWithinBounds: the rule of the design, written down plainly, keeps the
// bounds, or they would demand what nothing can do.
func TestIdealStaysWithinBounds(t *testing.T) {
	n := *seeds
	if testing.Short() {
		n = 5
	}
	for seed := range n {
		if broken := playIdeal(seed, ""); broken != "" {
			t.Fatalf("seed %d: %s", seed, broken)
		}
	}
}

// TestBoundsAreNarrow: they do not allow everything, such as a decision that lacks a
// part of the rule.
func TestBoundsAreNarrow(t *testing.T) {
	for _, lacks := range []string{"floors", "carried", "warm-up", "forgetting"} {
		t.Run(lacks, func(t *testing.T) {
			for seed := range uint64(100) {
				if playIdeal(seed, lacks) != "" {
					return
				}
			}
			t.Error("no history breaks the bounds")
		})
	}
}

func playIdeal(seed uint64, lacks string) (broken string) {
	m := NewModel(seed)
	d := &ideal{m: m, lacks: lacks, started: -2 * Retention, series: map[int]*idealSeries{}}
	d.reset()
	return d.play(600)
}

// ideal decides by docs/ARCHITECTURE.md, Decisions, for all shapes but the rate.
type ideal struct {
	m       *Model
	lacks   string // a part of the rule
	started float64
	loaded  bool // it started with a state
	full    bool
	series  map[int]*idealSeries
	shapes  []idealShape
	saved   *ideal
	savedAt float64
}

type idealSeries struct {
	s        *Sender
	pushes   []push
	rejected float64
}

type idealShape struct {
	entries map[float64]float64
	known   map[int]bool
	whole   float64 // the last complete value
	fresh   float64 // since when all senders are expected back
	busy    bool
	current float64 // as reported last
}

func (d *ideal) reset() {
	d.shapes = make([]idealShape, len(Shapes))
	for i := range d.shapes {
		d.shapes[i] = idealShape{map[float64]float64{}, map[int]bool{}, -never, -never, false, -never}
	}
}

func (d *ideal) play(seconds float64) string {
	for d.m.Now < seconds {
		d.m.Advance(d)
		if d.m.Down || d.m.Now != math.Trunc(d.m.Now) {
			continue
		}
		for i, shape := range Shapes {
			if shape.kind == rate {
				continue
			}
			v, ok := d.report(i)
			if !ok {
				continue
			}
			if b := d.m.Bounds(i); b.Excess(v) != 0 {
				return fmt.Sprintf("second %v: %s is reported as %.6g, outside of the bounds %s\n%s\n%s",
					d.m.Now, shape.Query, v, &b, d.m, strings.Join(d.m.Trace, "\n"))
			}
		}
	}
	return ""
}

func (d *ideal) of(s *Sender) *idealSeries {
	is := d.series[s.ID]
	if is == nil {
		is = &idealSeries{s: s, rejected: -never}
		d.series[s.ID] = is
	}
	return is
}

// Push implements Product.
func (d *ideal) Push(s *Sender) bool {
	is := d.of(s)
	if d.full && (len(is.pushes) == 0 || d.m.Now-is.pushes[len(is.pushes)-1].at > Retention) {
		is.rejected = d.m.Now
		return false
	}
	for i := range Shapes {
		if !Shapes[i].reads(s) {
			continue
		}
		forgotten, any := true, false
		for _, o := range d.series {
			if p, _, ok := lastOf(o.pushes); ok && Shapes[i].reads(o.s) {
				any = true
				forgotten = forgotten && d.m.Now-p.at-p.moved >= Retention
			}
		}
		if any && forgotten && d.shapes[i].busy {
			d.shapes[i].fresh = d.m.Now
		}
	}
	is.rejected = -never
	is.pushes = append(is.pushes, push{at: d.m.Now, share: s.Share})
	return true
}

// End implements Product.
func (d *ideal) End(s *Sender) {
	is := d.of(s)
	is.pushes = append(is.pushes, push{at: d.m.Now, marker: true})
}

// SetFull implements Product.
func (d *ideal) SetFull(full bool) { d.full = full }

// Snapshot implements Product.
func (d *ideal) Snapshot() {
	for i := range Shapes {
		if Shapes[i].kind != rate {
			d.report(i)
		}
	}
	saved := &ideal{series: map[int]*idealSeries{}}
	for id, is := range d.series {
		saved.series[id] = &idealSeries{is.s, slices.Clone(is.pushes), is.rejected}
	}
	saved.shapes = slices.Clone(d.shapes)
	for i := range saved.shapes {
		sh := &saved.shapes[i]
		entries, known := sh.entries, sh.known
		sh.entries, sh.known = map[float64]float64{}, map[int]bool{}
		for x, v := range entries {
			sh.entries[x] = v
		}
		for id := range known {
			sh.known[id] = true
		}
	}
	d.saved, d.savedAt = saved, d.m.Now
}

// Restart implements Product.
func (d *ideal) Restart(restore bool) (float64, bool) {
	d.started, d.full = d.m.Now, false
	if d.loaded = restore && d.saved != nil && d.m.Now-d.savedAt < Retention; d.loaded {
		d.series, d.shapes = d.saved.series, d.saved.shapes
		d.saved = nil
		d.restored(d.m.Now - d.savedAt)
		return d.savedAt, true
	}
	d.saved = nil
	d.series = map[int]*idealSeries{}
	d.reset()
	for i := range d.shapes {
		d.shapes[i].fresh, d.shapes[i].busy = d.m.Now, true
	}
	return 0, false
}

// restored moves what it started with by the time in between, which is no sender's
// silence. All series are lost now, and the value at the snapshot is an entry.
func (d *ideal) restored(away float64) {
	for _, is := range d.series {
		for i := range is.pushes {
			is.pushes[i].moved += away
		}
	}
	for i := range d.shapes {
		sh := &d.shapes[i]
		entries := map[float64]float64{}
		for x, v := range sh.entries {
			entries[x+away] = v
		}
		entries[d.m.Now] = max(entries[d.m.Now], sh.current)
		sh.entries = entries
		for id := range d.series {
			sh.known[id] = true
		}
	}
}

// late is after which silence a series is late, by the intervals that the pushes show.
func (d *ideal) late(s *Sender) float64 { return d.m.late(s) - Tick }

func (d *ideal) report(i int) (float64, bool) {
	shape, sh, now := &Shapes[i], &d.shapes[i], d.m.Now
	current, carried := result{kind: shape.kind}, result{kind: shape.kind}
	type lostSeries struct {
		id int
		x  float64
	}
	var lost []lostSeries
	any, rejecting := false, false
	for _, id := range ids(d.series) {
		is := d.series[id]
		if !shape.reads(is.s) {
			continue
		}
		rejecting = rejecting || now-is.rejected <= d.m.longest()
		p, marked, ok := lastOf(is.pushes)
		if !ok {
			continue
		}
		num, den, _ := shape.of(is.s, p.share)
		silence, forget := now-p.at-p.moved, Retention
		if marked && d.others(i, is) {
			_, interval := d.m.expected(is.s)
			forget = 3*interval + Step
		}
		switch {
		case !marked && silence < d.late(is.s) && p.at >= d.started:
			current.add(num, den)
			carried.add(num, den)
			any = true
		case num == 0 && shape.kind != difference && shape.kind != quotient:
		case silence < forget || d.lacks == "forgetting":
			carried.add(num, den)
			any = true
			lost = append(lost, lostSeries{id, p.at + p.moved})
		}
	}
	slices.SortStableFunc(lost, func(a, b lostSeries) int { return cmp.Compare(a.x, b.x) })
	still := map[int]bool{}
	for _, l := range lost {
		if still[l.id] = true; sh.known[l.id] {
			continue
		}
		whole := result{kind: shape.kind}
		for _, id := range ids(d.series) {
			is := d.series[id]
			if sh.known[id] {
				continue
			}
			upTo := is.pushes
			for len(upTo) > 0 && upTo[len(upTo)-1].at > l.x {
				upTo = upTo[:len(upTo)-1]
			}
			if p, marked, ok := lastOf(upTo); ok && !marked && l.x-p.at < d.late(is.s) {
				if num, den, reads := shape.of(is.s, p.share); reads {
					whole.add(num, den)
				}
			}
		}
		sh.entries[l.x] = max(sh.entries[l.x], whole.value())
		sh.known[l.id] = true
	}
	sh.known = still
	sh.current = current.value()
	floor := -never
	for x, v := range sh.entries {
		if len(lost) == 0 || now-x >= Retention {
			delete(sh.entries, x)
			continue
		}
		floor = max(floor, v)
	}
	if d.lacks == "floors" {
		floor = -never
	}
	least := -never
	if rejecting {
		least = sh.whole
	}
	waiting := now < sh.fresh+Retention && d.lacks != "warm-up"
	sh.busy = sh.busy || current.value() > 0
	switch {
	case waiting, !any:
		return 0, !sh.busy && !waiting
	case rejecting && sh.whole == -never:
		return 0, false
	case len(lost) == 0 && !rejecting:
		sh.whole = current.value()
		return current.value(), true
	case shape.monotone() && floor > -never && d.lacks != "carried":
		return max(current.value(), min(floor, carried.value()), least), true
	case d.lacks == "carried":
		return current.value(), true
	default:
		return max(floor, carried.value(), least), true
	}
}

func (d *ideal) others(i int, is *idealSeries) bool {
	marked := is.pushes[len(is.pushes)-1].at
	for _, o := range d.series {
		if p, _, ok := lastOf(o.pushes); ok && o != is && p.at > marked && Shapes[i].reads(o.s) {
			return true
		}
	}
	return false
}

func lastOf(pushes []push) (push, bool, bool) { return (&Sender{stored: pushes}).last() }

func ids(all map[int]*idealSeries) []int {
	var ids []int
	for id := range all {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
