package scaler

import (
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	maxTransitions = 16  // that are remembered of each trigger
	maxErrors      = 4   // the same, each counted for as long as it is repeated
	maxText        = 400 // bytes of each error
	maxUnread      = 16  // metadata keys
)

// rpc is one of KEDA's questions.
type rpc int

const (
	rpcSpec rpc = iota
	rpcMetrics
	rpcActive
	rpcStreamActive
	rpcStreamSpec
	rpcs
)

var rpcNames = [rpcs]string{"GetMetricSpec", "GetMetrics", "IsActive", "StreamIsActive", "StreamMetricSpec"}

// asked counts the questions of a kind. Every poll writes it.
type asked struct {
	count atomic.Uint64
	last  atomic.Int64 // ms
}

// asks notes a question, and the metadata that came with it. It tells whether
// that has changed.
func (st *state) asks(from netip.Addr, by rpc, at time.Time, t *trigger) (edited bool) {
	st.peers.note(from, by, at)
	st.asked[by].count.Add(1)
	st.asked[by].last.Store(at.UnixMilli())
	if st.trigger.Load().same(t) {
		return false
	}
	st.trigger.Store(t)
	return true
}

// askedAt returns when anybody asked last.
func (st *state) askedAt() time.Time {
	var last int64
	for i := range st.asked {
		last = max(last, st.asked[i].last.Load())
	}
	return time.UnixMilli(last)
}

// same tells whether two triggers of one key say the same.
func (t *trigger) same(o *trigger) bool {
	equal := func(a, b *float64) bool { return a == b || a != nil && b != nil && *a == *b }
	return t.target == o.target && t.missing == o.missing && equal(t.clampMin, o.clampMin) && equal(t.clampMax, o.clampMax) &&
		slices.Equal(t.unknown, o.unknown)
}

// Transition is a change of what KEDA is told.
type Transition struct {
	At            time.Time
	Before, Cause string  // causes; Before is empty for the first
	Value         float64 // before clamping
	Active        bool
	Error         string // not empty if KEDA is told to hold
}

// Failure is an error that KEDA was told, however often in a row.
type Failure struct {
	First, Last time.Time
	Count       uint64
	Text        string
}

// history is what a trigger's state was lately, the newest last.
type history struct {
	transitions []Transition
	failures    []Failure
}

// noteLocked remembers an answer that is news, or an error.
func (st *state) noteLocked(s situation, was cause, a answer, news bool) {
	text := ""
	if a.err != nil {
		text = s.brief(a.err)
		st.told.err = heldError(text)
		if last := len(st.failures) - 1; last >= 0 && st.failures[last].Text == text {
			st.failures[last].Count++
			st.failures[last].Last = s.at
		} else {
			st.failures = push(st.failures, Failure{First: s.at, Last: s.at, Count: 1, Text: text}, maxErrors)
		}
	}
	if !news {
		return
	}
	st.transitions = push(st.transitions, Transition{
		At: s.at, Before: string(was), Cause: string(a.cause), Value: a.value, Active: a.active, Error: text,
	}, maxTransitions)
}

// push appends and lets the oldest go. It grows to the limit, and not beyond.
func push[T any](all []T, v T, most int) []T {
	if len(all) < most {
		return append(all, v)
	}
	copy(all, all[1:])
	all[most-1] = v
	return all
}

// heldError is an error of which only the text is kept.
type heldError string

func (e heldError) Error() string { return string(e) }

// brief is an error as remembered: without the query, which may be 16 KiB.
func (s situation) brief(err error) string {
	text := err.Error()
	if s.plan != nil {
		text = strings.ReplaceAll(text, s.plan.String(), "the query")
	}
	return brief(text)
}

func brief(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return strings.Clone(text)
}
