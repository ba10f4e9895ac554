package scaler

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// ErrWarming is wrapped when there is no use in a snapshot: the senders have not
// come back yet, and a restart from it would take those that have for all.
var ErrWarming = errors.New("the senders may not have come back yet")

// storedBlock is how many triggers a block of a snapshot holds.
const storedBlock = 1000

// stored is what a snapshot has of a trigger.
type stored struct {
	triggerKey
	memory
	Results []Result `json:"results,omitempty"`
}

// storedTriggers is a block of a snapshot.
type storedTriggers struct {
	Since    int64    `json:"since"` // since when the data is complete, in ms
	Triggers []stored `json:"triggers"`
}

// Snapshot hands what it knows of triggers to emit, in blocks for Restore. The
// error wraps ErrWarming during the warm-up of a start without a snapshot.
func (s *Server) Snapshot(emit func(block []byte) error) error {
	start := s.start.Load()
	if now := s.opts.Queries.Steady(); start.without && now < start.warmUpEnd {
		return fmt.Errorf("%w, %s after the start", ErrWarming, time.Duration(now-start.at)*time.Millisecond)
	}
	for all, first := s.stored(), true; len(all) > 0 || first; first = false {
		n := min(len(all), storedBlock)
		block, err := json.Marshal(storedTriggers{start.since + s.opts.Queries.ClockShift(), all[:n]})
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

func (s *Server) stored() (all []stored) {
	o := &s.objects
	o.mu.Lock() // first: what KEDA asks about meanwhile is among the triggers then
	for _, of := range o.restored {
		all = append(all, of...)
	}
	o.mu.Unlock()
	for _, st := range s.triggers.Values() {
		if one, known := st.stored(); known {
			all = append(all, one)
		}
	}
	return all
}

// stored returns what a snapshot has of the trigger.
func (st *state) stored() (one stored, known bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	one = stored{st.key, st.memory, slices.Clone(st.history.results)}
	one.Floors = floors{Entries: slices.Clone(one.Floors.Entries)}
	if d := st.last.Load(); d != nil && !math.IsNaN(d.current) { // all series are lost after a restart
		one.Floors.Entries = append(one.Floors.Entries, floor{d.at, d.current})
	}
	one.Short = one.Short || one.returning > 0
	return one, one.Known || one.Seen || one.Unknown > 0
}

// Restore takes a block of a snapshot, before the server serves.
func (s *Server) Restore(block []byte) error {
	var d storedTriggers
	if err := json.Unmarshal(block, &d); err != nil {
		return fmt.Errorf("triggers: %w", err)
	}
	o := &s.objects
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range d.Triggers {
		if o.restoredCount < MaxTriggers {
			o.restored[t.Object] = append(o.restored[t.Object], t)
			o.restoredCount++
		}
	}
	s.start.Load().since = d.Since
	return nil
}

// Restored is called when the store has what it had when the snapshot was taken, with
// the times of samples moved back by so much. It comes after Restore, before the
// server serves. The time in between counts as no series' silence.
func (s *Server) Restored(taken time.Time, moved time.Duration) {
	start := s.newStart(s.opts.WarmUp)
	start.without, start.restored = false, start.at
	start.since = s.start.Load().since - moved.Milliseconds() - s.opts.Queries.ClockShift()
	s.start.Store(start)
	away := s.now() - taken.UnixMilli()
	s.objects.mu.Lock()
	defer s.objects.mu.Unlock()
	for _, of := range s.objects.restored {
		for i := range of {
			of[i].move(away - moved.Milliseconds())
			for j := range of[i].Results {
				of[i].Results[j].At -= moved.Milliseconds()
			}
		}
	}
}

// Forget drops what was restored: the rest of the snapshot could not be read.
func (s *Server) Forget() {
	s.objects.mu.Lock()
	defer s.objects.mu.Unlock()
	clear(s.objects.restored)
	s.objects.restoredCount = 0
	s.start.Store(s.newStart(s.opts.WarmUp))
}

// restore gives a trigger that KEDA asks about again its past.
func (st *state) restore(from *stored) {
	entries := from.Floors.Entries
	st.memory = from.memory
	st.memory.Floors = floors{}
	for _, e := range entries {
		st.memory.Floors.add(e)
	}
	st.history.results = from.Results
	st.shown.Store(from.Active)
}
