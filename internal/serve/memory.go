package serve

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
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
	// collectShare is the least that may be read between two collections which
	// connections wait for. With less, each read would wait for its own.
	collectShare = 1.0 / 32
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
	read   atomic.Int64 // bytes that connections of senders have read since, which needed may lack

	mu        sync.Mutex // guards what follows; locked during a collection
	samples   []metrics.Sample
	cycles    uint64 // collections so far
	collected time.Time
	before    int64 // read, at the last look
}

func newMemory() *memory {
	m := &memory{limit: float64(debug.SetMemoryLimit(-1)), collected: time.Now(), samples: make([]metrics.Sample, len(memoryMetrics))}
	for i, name := range memoryMetrics {
		m.samples[i].Name = name
	}
	return m
}

func (m *memory) unlimited() bool { return m.limit >= math.MaxInt64 }

// full tells whether there is too little memory for new series.
func (m *memory) full() bool { return m.above(fullShare, 0) }

// tight tells whether there is too little memory for requests.
func (m *memory) tight() bool { return m.above(tightShare, 0) }

// spent tells whether there is too little memory for what a connection of a sender
// would read. What connections have read since the last collection may be needed or
// garbage. Where it decides, the caller waits for a collection, which finds out.
func (m *memory) spent() bool {
	short := func() bool { return m.above(spentShare, m.read.Load()) }
	if !short() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.above(spentShare, 0) || !short() { // another caller has waited for a collection
		return m.above(spentShare, 0)
	}
	m.lookLocked()
	runtime.GC()
	m.lookLocked()
	return m.above(spentShare-collectShare, m.read.Load())
}

// arrived counts bytes that a connection of a sender has read.
func (m *memory) arrived(n int) {
	if !m.unlimited() {
		m.read.Add(int64(n))
	}
}

func (m *memory) above(share float64, more int64) bool {
	return float64(m.needed.Load()+more) > share*m.limit
}

// inflight is how many bytes requests may hold, if that is not configured.
func (m *memory) inflight(configured int) int {
	switch {
	case configured > 0:
		return configured
	case m.unlimited():
		return inflightBytes
	}
	return int(inflightShare * m.limit)
}

// run looks at the memory until ctx is done.
func (m *memory) run(ctx context.Context) error {
	if m.unlimited() {
		return nil
	}
	tick := time.NewTicker(lookAtMemory)
	defer tick.Stop()
	for {
		m.look()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (m *memory) look() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lookLocked()
	if m.full() && time.Since(m.collected) > collectAfter {
		runtime.GC()
	}
}

func (m *memory) lookLocked() {
	read := m.read.Load()
	metrics.Read(m.samples)
	if n := m.samples[0].Value.Uint64(); n != m.cycles {
		m.cycles, m.collected = n, time.Now()
		m.read.Add(-m.before) // what is left of that is in needed
		read -= m.before
	}
	m.needed.Store(neededOf(m.samples))
	m.before = read
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
