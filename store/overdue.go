package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// maxOverdue bounds the series of which it is remembered that they sent what was
// too old.
const maxOverdue = 4096

// overdue remembers which series sent load that was refused for its age: by a clock
// that is hours late, or out of a queue. Somebody is there, and what an empty
// result means then is not that nobody is.
type overdue struct {
	count atomic.Int32 // for those who need not look

	mu     sync.Mutex // guards what follows
	series map[uint64]overdueSeries
	looked int64 // when all were looked at last, in ms, which a flood must not bring about each time
}

type overdueSeries struct {
	lset labels.Labels
	at   int64 // of the last one's arrival, in ms
}

// tooOld is the error for a sample, of which it takes note.
func (a *Appender) tooOld(lset labels.Labels, in sample) error {
	if !in.stale() && takesLoad(in) {
		a.s.overdue.note(lset, a.now, a.mint)
	}
	return fmt.Errorf("%w: %s, and samples are kept for %s", ErrTooOld,
		time.UnixMilli(in.t).UTC().Format(time.RFC3339Nano), a.s.opts.Retention)
}

func (o *overdue) note(lset labels.Labels, now, mint int64) {
	hash := lset.Hash()
	o.mu.Lock()
	defer o.mu.Unlock()
	one, known := o.series[hash]
	if !known && len(o.series) >= maxOverdue {
		if now-o.looked >= 1000 {
			o.looked = now
			o.expireLocked(mint)
		}
		if len(o.series) >= maxOverdue {
			return // of so many, one more changes little
		}
	}
	if !known {
		one.lset = lset.Copy() // a part of the request
	}
	one.at = now
	o.series[hash] = one
	o.count.Store(int32(len(o.series))) //nolint:gosec // bounded
}

func (o *overdue) expireLocked(mint int64) {
	for hash, one := range o.series {
		if one.at < mint {
			delete(o.series, hash)
		}
	}
	o.count.Store(int32(len(o.series))) //nolint:gosec // bounded
}

// Overdue tells whether, within the retention, load was refused for its age that
// would have matched ms.
func (s *Store) Overdue(ms ...*labels.Matcher) bool {
	o := &s.overdue
	if o.count.Load() == 0 {
		return false
	}
	mint := s.now() - s.opts.Retention.Milliseconds()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.expireLocked(mint)
	for _, one := range o.series {
		if matchesAll(one.lset, ms) {
			return true
		}
	}
	return false
}
