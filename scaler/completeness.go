package scaler

import (
	"cmp"
	"slices"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// endedIntervals is for how many of its push intervals a series that its sender
// ended is lost while other series of the query go on: a failed scrape ends the
// series of a pod as well, and the next scrape brings them back.
const endedIntervals = 3

// minPatience is the shortest silence, in ms, after which the store calls a series
// late. Otherwise that is one and a half of its push intervals.
const minPatience = 2000

// completeness tells what is missing of what a query reads.
type completeness struct {
	at    int64 // ms
	until int64 // up to when this stays so without a push, in ms
	live  int   // series that push
	seen  int   // series at all, without those that are forgotten

	latest int64 // when a silent series pushed last, in ms

	// lost are the series that are missing and had load, in the order of their last
	// arrival.
	lost      []query.Silent
	uncovered int // series, live or lost, without data for the whole window

	// unloaded are series without load that stand for a selector which matches
	// nothing else: they count with their last values.
	unloaded map[query.SeriesID]struct{}
	// carried are the unloaded and the lost series.
	carried map[query.SeriesID]struct{}
	idle    []query.SeriesID // the silent series without load

	absent  []bool // by selector: it matches nothing
	current []bool // by selector: it matches nothing that is not lost
	needed  bool   // some selector matches something, or none has to
	ended   bool   // every series that is not live was ended by its sender
}

// assess finds out what is missing from a survey. A series is forgotten one
// retention (ms) after its last sample.
func assess(s *query.Survey, retention int64) completeness {
	c := completeness{at: s.At, until: s.Until, ended: true}
	silent := 0
	for i := range s.Matched {
		for j := range s.Matched[i].Silent {
			c.latest = max(c.latest, s.Matched[i].Silent[j].Arrived)
		}
		c.live += s.Matched[i].Live
		c.uncovered += s.Matched[i].Uncovered
		silent += len(s.Matched[i].Silent)
	}
	c.seen = c.live
	if silent == 0 && c.live > 0 && !slices.ContainsFunc(s.Matched, func(m query.Matched) bool { return m.Live == 0 }) {
		c.needed = true
		return c // the usual case
	}
	n := len(s.Matched)
	c.absent, c.current = make([]bool, n), make([]bool, n)
	c.unloaded, c.carried = map[query.SeriesID]struct{}{}, map[query.SeriesID]struct{}{}
	required := false
	for i := range s.Matched {
		m := &s.Matched[i]
		unloaded, lost := c.selector(m, retention)
		c.idle = append(c.idle, unloaded...)
		if m.Live == 0 && !lost {
			for _, id := range unloaded {
				c.unloaded[id] = struct{}{}
				c.carried[id] = struct{}{}
			}
			c.absent[i] = len(unloaded) == 0
		}
		c.current[i] = m.Live == 0 && (lost || c.absent[i])
		required = required || !m.Optional
		c.needed = c.needed || !c.absent[i]
	}
	c.needed = c.needed || !required
	slices.SortFunc(c.lost, func(a, b query.Silent) int { return cmp.Compare(a.Arrived, b.Arrived) })
	return c
}

// selector sorts a selector's silent series: those that are lost, and those that
// had no load.
func (c *completeness) selector(m *query.Matched, retention int64) (unloaded []query.SeriesID, lost bool) {
	for _, s := range m.Silent {
		forgotten := s.Arrived + retention
		if forgotten <= c.at {
			continue
		}
		c.seen++
		c.until = min(c.until, forgotten)
		c.ended = c.ended && s.Ended > 0
		switch {
		case s.Value == 0 && !s.Histogram && !m.ZeroCounts:
			unloaded = append(unloaded, s.ID)
			continue
		case s.Ended > 0:
			over := s.Ended + endedIntervals*s.Interval
			if c.live > 0 && over <= c.at || over <= c.latest { // others went on for so long
				continue
			}
			if c.live > 0 {
				c.until = min(c.until, over)
			}
		}
		lost = true
		if _, known := c.carried[s.ID]; !known {
			c.carried[s.ID] = struct{}{}
			c.lost = append(c.lost, s)
			if s.Uncovered {
				c.uncovered++
			}
		}
	}
	return unloaded, lost
}

// patience returns after which silence (ms) a lost series is late: the longest of them.
func (c *completeness) patience() int64 {
	longest := int64(minPatience)
	for i := range c.lost {
		longest = max(longest, 3*c.lost[i].Interval/2)
	}
	return longest
}
