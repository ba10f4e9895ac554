package scaler

import (
	"slices"
	"strings"
	"time"
)

const (
	maxTransitions = 16  // that are stored of each trigger
	maxErrors      = 4   // the same, each counted for as long as it is repeated
	maxText        = 400 // bytes of each error
	maxUnread      = 16  // metadata keys

	// resultsBytes bounds the results of all triggers, of which each takes resultSize
	// bytes.
	resultsBytes = 64 << 20
	resultSize   = 32
	minResults   = 8    // of each trigger, however many there are
	resultStep   = 1000 // ms that share a result
)

// same tells whether two triggers of one key say the same.
func (t *Metadata) same(o *Metadata) bool {
	equal := func(a, b *float64) bool { return a == b || a != nil && b != nil && *a == *b }
	return t.Target == o.Target && t.Missing == o.Missing && equal(t.ClampMin, o.ClampMin) && equal(t.ClampMax, o.ClampMax) &&
		slices.Equal(t.Unread, o.Unread)
}

// Transition is a change of what the scaler answers KEDA.
type Transition struct {
	At            time.Time
	Before, Cause string  // causes; Before is empty for the first
	Value         float64 // before clamping
	Active        bool
	Error         string // not empty if KEDA holds
}

// Failure is an error that KEDA received, however often in a row.
type Failure struct {
	First, Last time.Time
	Count       uint64
	Text        string
}

// Result is one evaluation of a trigger.
type Result struct {
	At       int64   `json:"at"`       // ms
	Current  float64 `json:"current"`  // of the series that push; NaN without a value is -1
	Reported float64 `json:"reported"` // before clamping; -1 if KEDA holds
	Cause    uint8   `json:"cause"`    // its number among the causes
	Active   bool    `json:"active"`
}

// history is what a trigger's state was lately, the newest last.
type history struct {
	cause       cause
	active      bool // of the newest without an error
	text        string
	transitions []Transition
	failures    []Failure
	results     []Result
}

// record takes note of a decision. It tells whether that is another state than the
// one before, and returns this.
func (h *history) record(d *decision, query string, most int) (was cause, changed bool) {
	was = h.cause
	changed = was != d.cause || d.err == nil && h.active != d.active
	h.cause = d.cause
	if h.text = ""; d.err == nil {
		h.active = d.active
	} else {
		h.text = brief(strings.ReplaceAll(d.err.Error(), query, "the query"))
		h.fail(d.at)
	}
	if changed {
		h.transitions = push(h.transitions, Transition{
			At: time.UnixMilli(d.at), Before: string(was), Cause: string(d.cause), Value: d.value, Active: d.active, Error: h.text,
		}, maxTransitions)
	}
	h.result(d, most)
	return was, changed
}

func (h *history) fail(at int64) {
	now := time.UnixMilli(at)
	if last := len(h.failures) - 1; last >= 0 && h.failures[last].Text == h.text {
		h.failures[last].Count++
		h.failures[last].Last = now
		return
	}
	h.failures = push(h.failures, Failure{First: now, Last: now, Count: 1, Text: h.text}, maxErrors)
}

// result adds a result. Of those within one second of the clock the newest stays.
func (h *history) result(d *decision, most int) {
	r := Result{At: d.at, Current: d.current, Reported: d.value, Cause: uint8(max(slices.Index(causes, d.cause), 0)), Active: d.active} //nolint:gosec // there are few causes
	if d.current != d.current {                                                                                                         //nolint:gocritic // NaN, which JSON does not have
		r.Current = -1
	}
	if d.err != nil {
		r.Reported = -1
	}
	if last := len(h.results) - 1; last >= 0 && r.At/resultStep == h.results[last].At/resultStep {
		h.results[last] = r
		return
	}
	h.results = push(h.results, r, most)
}

// push appends, and removes the oldest beyond the limit.
func push[T any](all []T, v T, most int) []T {
	if over := len(all) + 1 - most; over > 0 {
		all = slices.Delete(all, 0, over)
	}
	return append(all, v)
}

func brief(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return strings.Clone(text)
}
