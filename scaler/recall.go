package scaler

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

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

// Snapshot hands the last decisions about triggers to emit, in blocks for Recall.
func (s *Server) Snapshot(emit func(block []byte) error) error {
	all := s.lastDecisions()
	for len(all) > 0 {
		n := min(len(all), recalledBlock)
		block, err := json.Marshal(all[:n])
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

// Recall takes a block of a snapshot, before the server serves.
func (s *Server) Recall(block []byte) error {
	var all []recalled
	if err := json.Unmarshal(block, &all); err != nil {
		return fmt.Errorf("triggers: %w", err)
	}
	o := &s.objects
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range all {
		if t := &all[i]; len(o.recalled) < MaxTriggers {
			o.recalled[triggerKey{Object{t.Namespace, t.Name}, t.Query, t.Over, t.Activation}] = t.Active
		}
	}
	return nil
}

// Restored says that the store holds what it held then. It comes before the server
// serves.
func (s *Server) Restored(taken time.Time) { s.taken = taken }

// Forget drops what was Recalled: the rest of the snapshot could not be read.
func (s *Server) Forget() {
	s.objects.mu.Lock()
	defer s.objects.mu.Unlock()
	clear(s.objects.recalled)
}
