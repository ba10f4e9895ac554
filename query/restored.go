package query

import (
	"context"
	"sync"
	"time"
)

// restored remembers what a plan's value was before a restart, from the first
// evaluation after it on: the samples of that time leave the retention.
type restored struct {
	mu    sync.Mutex // held during evaluations, before the standing answer's
	known bool
	value float64
	ok    bool
}

// AtRestore returns the largest value at any of the moments up to the one at which
// the snapshot was taken that the store was restored from; they are always the
// same.
func (p *Plan) AtRestore(ctx context.Context, moments ...time.Time) (v float64, ok bool) {
	r := &p.restored
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known {
		return r.value, r.ok
	}
	for _, at := range moments {
		then, err := p.Eval(ctx, at)
		if ctx.Err() != nil {
			return 0, false
		}
		if err == nil && (!ok || then > v) {
			v, ok = then, true
		}
	}
	r.known, r.value, r.ok = true, v, ok
	return v, ok
}
