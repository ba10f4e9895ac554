package scaler

import (
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
}

// verdict is whether a value makes a trigger active, or that nothing is known.
type verdict struct{ v atomic.Int32 }

func (v *verdict) clear() { v.v.Store(0) }

func (v *verdict) set(active bool) { v.v.Store(verdictOf(active)) }

func (v *verdict) is(active bool) bool { return v.v.Load() == verdictOf(active) }

func verdictOf(active bool) int32 {
	if active {
		return 1
	}
	return -1
}

// state is what is remembered of a trigger.
type state struct {
	key     triggerKey
	trigger atomic.Pointer[trigger] // as KEDA sent it last
	asked   [rpcs]asked
	peers   peers
	streams atomic.Int32 // open
	metric  string       // of the query, as the HPA has it
	listed  atomic.Bool  // changed under listed.mu
	evicted atomic.Bool  // no longer remembered

	expensive atomic.Bool // its query, as logged last

	// decided is known if the last decision went by a value. The same value's
	// would change nothing then.
	decided verdict

	mu     sync.Mutex // guards what follows, and the order of decided's changes
	at     time.Time  // of the newest decision; what was evaluated before is remembered no more
	memory memory
	active bool // as logged last
	cause  cause
	told   answer // the newest, its error as in history
	history
}

// decide decides, remembers, and reports when the trigger's state has changed.
func (st *state) decide(s situation, changed func(was, is cause, a answer)) answer {
	st.mu.Lock()
	s.memory = st.memory
	st.mu.Unlock()

	a := decide(s) // may evaluate a query, so nothing is locked

	st.mu.Lock()
	if s.at.Before(st.at) { // somebody else has asked since, and was faster
		st.mu.Unlock()
		return a
	}
	st.at = s.at
	st.memory = st.memory.after(a)
	was := st.cause
	differs := was != a.cause || a.err == nil && st.active != a.active
	st.cause = a.cause
	if a.err == nil {
		st.active = a.active
	}
	st.told = a
	if differs || a.err != nil {
		st.noteLocked(s, was, a, differs)
	}
	if a.cause == causeValue {
		st.decided.set(a.active)
	} else {
		st.decided.clear()
	}
	st.mu.Unlock()
	if differs {
		changed(was, a.cause, a)
	}
	return a
}

// lastActive returns the activity as last decided; a trigger of which nothing
// is known is inactive.
func (st *state) lastActive() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.memory.active
}
