package serve

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

const (
	// fullShare of GOMEMLIMIT is where new series end. What is left is for the
	// samples of those that are held, and for requests.
	fullShare = 0.85
	// tightShare is where requests end, too: beyond it the garbage collector takes
	// the CPU that answers KEDA.
	tightShare = 0.93
	// spentShare is where connections of senders end that go on sending.
	spentShare = 0.97
	// inflightShare of it is for requests that are not stored yet.
	inflightShare = 0.125
	// inflightBytes is for them where there is no limit.
	inflightBytes = 256 << 20

	lookAtMemory = 100 * time.Millisecond
	// collectAfter is how long memory may be short with no collection that would
	// show that it no longer is: without requests there is little to start one.
	collectAfter = time.Second
)

// memory is what the process needs, against GOMEMLIMIT. Without a limit there is
// always enough.
type memory struct {
	limit  float64
	needed atomic.Int64 // bytes: live after the last collection, and what is no heap
}

func newMemory() *memory { return &memory{limit: float64(debug.SetMemoryLimit(-1))} }

// full tells whether there is too little memory for new series.
func (m *memory) full() bool { return m.above(fullShare) }

// tight tells whether there is too little memory for requests.
func (m *memory) tight() bool { return m.above(tightShare) }

// spent tells whether there is too little memory for bytes on their way.
func (m *memory) spent() bool { return m.above(spentShare) }

func (m *memory) above(share float64) bool { return float64(m.needed.Load()) > share*m.limit }

// inflight is how many bytes requests may hold, if that is not configured.
func (m *memory) inflight(configured int) int {
	switch {
	case configured > 0:
		return configured
	case m.limit >= math.MaxInt64:
		return inflightBytes
	}
	return int(inflightShare * m.limit)
}

// run looks at the memory until ctx is done.
func (m *memory) run(ctx context.Context) error {
	if m.limit >= math.MaxInt64 {
		return nil
	}
	tick := time.NewTicker(lookAtMemory)
	defer tick.Stop()
	samples := make([]metrics.Sample, len(memoryMetrics))
	for i, name := range memoryMetrics {
		samples[i].Name = name
	}
	var collections uint64
	collected := time.Now()
	for {
		metrics.Read(samples)
		m.needed.Store(neededOf(samples))
		if n := samples[0].Value.Uint64(); n != collections {
			collections, collected = n, time.Now()
		} else if m.full() && time.Since(collected) > collectAfter {
			runtime.GC()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// memoryMetrics begin with the count of collections, then what is live, and
// what the limit counts; the rest is what to take off of that.
var memoryMetrics = []string{
	"/gc/cycles/total:gc-cycles",
	"/gc/heap/live:bytes",
	"/memory/classes/total:bytes",
	"/memory/classes/heap/released:bytes",
	"/memory/classes/heap/objects:bytes",
	"/memory/classes/heap/free:bytes",
	"/memory/classes/heap/unused:bytes",
}

// neededOf is what is live and what the limit counts that is no heap: stacks,
// and the runtime's own. Garbage is left out, since it goes when it has to.
func neededOf(samples []metrics.Sample) int64 {
	needed := samples[1].Value.Uint64() + samples[2].Value.Uint64()
	for _, s := range samples[3:] {
		needed -= s.Value.Uint64()
	}
	return int64(needed) //nolint:gosec // less than the address space
}
