package tracing

import (
	"sync/atomic"
	"time"
)

// rarely allows something once in a while.
type rarely struct {
	every time.Duration
	now   func() time.Time
	last  atomic.Int64 // in ns
}

func (r *rarely) allows() bool {
	now, last := r.now().UnixNano(), r.last.Load()
	return now-last >= int64(r.every) && r.last.CompareAndSwap(last, now)
}
