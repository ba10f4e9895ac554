package scaler

import (
	"sync"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// triggerKey is what makes a trigger's past decisions count for it.
type triggerKey struct {
	namespace, name string
	query           string
	over            query.OverTime
	activation      float64
}

// state is what is remembered of a trigger.
type state struct {
	mu     sync.Mutex // guards what follows
	memory memory
	active bool // as logged last
	cause  cause
}

// decide decides, remembers, and reports when the trigger's state has changed.
func (st *state) decide(s situation, changed func(was, is cause, a answer)) answer {
	st.mu.Lock()
	s.memory = st.memory
	st.mu.Unlock()

	a := decide(s) // may evaluate a query, so nothing is locked

	st.mu.Lock()
	st.memory = st.memory.after(a)
	was := st.cause
	differs := was != a.cause || a.err == nil && st.active != a.active
	st.cause = a.cause
	if a.err == nil {
		st.active = a.active
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
