package serve

import (
	"os"
	"runtime"
	"sync"
	"time"
)

// spareFor is how long the thread stays after it was needed last: each change
// stops the world, for some fifty microseconds.
const spareFor = 30 * time.Second

// spareThread is a thread that runs Go code beside those that Go would have, while
// requests queue to be decoded or queries keep a core: the semaphore of either
// lets as many work as there are cores. Go's scheduler has no priorities, and looks at the network last;
// with decoders on all of its threads each of the six steps of a call of KEDA's
// waits until one of them is interrupted. The kernel shares the cores between
// threads, in milliseconds. Where nothing queues an idle thread would only cost:
// every goroutine that wakes another looks for one.
type spareThread struct {
	mu      sync.Mutex // guards what follows
	stopped bool
	end     *time.Timer // nil while there is none
}

// newSpareThread returns one that may be needed. GOMAXPROCS, if set, decides
// instead.
func newSpareThread() *spareThread {
	_, set := os.LookupEnv("GOMAXPROCS")
	return &spareThread{stopped: set}
}

func (s *spareThread) needed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
	case s.end == nil:
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
		s.end = time.AfterFunc(spareFor, s.over)
	default:
		s.end.Reset(spareFor)
	}
}

// over leaves it to Go again, which follows the cgroup's limit.
func (s *spareThread) over() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		s.end.Stop()
		s.end = nil
		runtime.SetDefaultGOMAXPROCS()
	}
}

func (s *spareThread) stop() {
	s.over()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
}
