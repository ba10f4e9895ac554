package serve

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	// garbageRoom is how much garbage may gather before a collection, in bytes,
	// however little is live: gRPC leaves some ten kilobytes a request, and with
	// Go's default of once the live heap a small store is collected all the time.
	garbageRoom = 14 << 20
	// leastGarbage is the least room as a percentage of the live heap: most of a
	// large store is samples, which stay, and room for as much again is wasted.
	leastGarbage = 30
)

// gcPace sets the garbage collector's percentage after each collection to what
// is live then.
type gcPace struct {
	mu      sync.Mutex // guards what follows
	stopped bool
	before  int // the percentage to go back to
	live    []metrics.Sample
}

// paceGC begins; the returned function ends it. GOGC, if set, decides instead.
func paceGC() (stop func()) {
	if _, set := os.LookupEnv("GOGC"); set {
		return func() {}
	}
	p := &gcPace{live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	metrics.Read(p.live)
	p.before = debug.SetGCPercent(gcPercent(p.live[0].Value.Uint64()))
	p.arm()
	return p.stop
}

func (p *gcPace) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	debug.SetGCPercent(p.before)
}

// arm has collected run after the next collection, which finds nobody using
// what it allocates.
func (p *gcPace) arm() {
	runtime.AddCleanup(new([16]byte), (*gcPace).collected, p)
}

func (p *gcPace) collected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	metrics.Read(p.live)
	debug.SetGCPercent(gcPercent(p.live[0].Value.Uint64()))
	p.arm()
}

// gcPercent returns the room for garbage as a percentage of live bytes. The
// runtime's least heap, 4 MiB, grows with the percentage; so there is a most.
func gcPercent(live uint64) int {
	const most = 100 * garbageRoom / (4 << 20)
	return int(min(max(100*garbageRoom/max(live, 1), leastGarbage), most)) //nolint:gosec // at most most
}
