package scaler

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// ErrWarming is wrapped when there is no use in a snapshot: the senders have not
// come back yet, and a restart from it would take those that have for all.
var ErrWarming = errors.New("the senders may not have come back yet")

// recalledBlock is how many triggers a block of a snapshot holds.
const recalledBlock = 1000

// recalled is what a snapshot keeps of a trigger: without it nobody could tell
// after a restart that there was load when its series were there last.
type recalled struct {
	Namespace  string         `json:"namespace"`
	Name       string         `json:"name"`
	Query      string         `json:"query"`
	Over       query.OverTime `json:"over"`
	Activation float64        `json:"activation"`
	Active     bool           `json:"active"`
}

// decisions is a block of a snapshot.
type decisions struct {
	// Whole is when everybody was there last, in ms: now, unless some are still
	// given the time to come back after a restart.
	Whole    int64      `json:"whole"`
	Triggers []recalled `json:"triggers"`
}

// Snapshot hands the last decisions about triggers to emit, in blocks for Recall.
// The error wraps ErrWarming during a warm-up that began with nothing, and while
// a reset holds.
func (s *Server) Snapshot(emit func(block []byte) error) error {
	now := s.opts.Now()
	if err := s.reset.holds(now); err != nil {
		return fmt.Errorf("%w: %w", ErrWarming, err)
	}
	whole := now
	if s.warming(now) {
		if whole = s.whole; s.taken.IsZero() {
			return fmt.Errorf("%w, %s after the start", ErrWarming, now.Sub(s.started))
		}
	}
	for all, first := s.lastDecisions(), true; len(all) > 0 || first; first = false {
		n := min(len(all), recalledBlock)
		block, err := json.Marshal(decisions{whole.UnixMilli(), all[:n]})
		if err != nil {
			return fmt.Errorf("triggers: %w", err)
		}
		if err := emit(block); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

func (s *Server) lastDecisions() (all []recalled) {
	add := func(key triggerKey, active bool) {
		all = append(all, recalled{key.Namespace, key.Name, key.query, key.over, key.activation, active})
	}
	o := &s.objects
	o.mu.Lock() // first: what KEDA asks about meanwhile is among the triggers then
	for key, active := range o.recalled {
		add(key, active)
	}
	o.mu.Unlock()
	for _, st := range s.triggers.Values() {
		st.mu.Lock()
		last := st.memory
		st.mu.Unlock()
		if last.known {
			add(st.key, last.active)
		}
	}
	return all
}

// Recall takes a block of a snapshot, before the server serves. It returns when
// everybody was there last.
func (s *Server) Recall(block []byte) (whole time.Time, err error) {
	var d decisions
	if err := json.Unmarshal(block, &d); err != nil {
		return whole, fmt.Errorf("triggers: %w", err)
	}
	o := &s.objects
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range d.Triggers {
		if t := &d.Triggers[i]; len(o.recalled) < MaxTriggers {
			o.recalled[triggerKey{Object{t.Namespace, t.Name}, t.Query, t.Over, t.Activation}] = t.Active
		}
	}
	s.whole = time.UnixMilli(d.Whole)
	return s.whole, nil
}

// Restored says that the store holds what it held then, with the times of samples
// moved back so far. It comes after Recall, before the server serves.
func (s *Server) Restored(taken time.Time, moved time.Duration) {
	s.taken, s.whole = taken, s.whole.Add(-moved)
}

// Forget drops what was Recalled: the rest of the snapshot could not be read.
func (s *Server) Forget() {
	s.objects.mu.Lock()
	defer s.objects.mu.Unlock()
	clear(s.objects.recalled)
}
