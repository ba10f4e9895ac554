package store

import "math"

// Reset frees all series, as if each had been silent for the retention. Pushes go
// on meanwhile, and what they bring is held or not as it comes before or after.
func (s *Store) Reset() {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	touched := map[*Watch]struct{}{}
	var all []*Series
	for i := range s.stripes { // one at a time, so that none waits for all
		all = s.stripes.snapshot(i, all[:0])
		s.free(all, math.MaxInt64, touched)
	}
	s.swept.set(counts{})
	tell(touched)
}
