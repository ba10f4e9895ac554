// Package modelserver stands in for the vLLM container of a pod: what it does
// is set by the test, what it says on /metrics has vLLM's names, types, labels
// and buckets, in both formats Python's client library speaks.
//
// Rates are per second, durations in seconds. Totals advance with the wall
// clock between scrapes, so a counter's rate is exact whenever it is scraped.
package modelserver

import (
	"errors"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Load is what the pod is busy with from the moment it is set.
type Load struct {
	Running, Waiting float64 // requests, now
	KVCacheUsage     float64 // 0 to 1, now

	PromptTokens, GenerationTokens float64 // per second
	Requests                       float64 // finished per second
	TimeToFirstToken, E2ELatency   float64 // seconds, of each finished request
	CPU                            float64 // cores
}

// Totals are the counters since the process started.
type Totals struct {
	PromptTokens, GenerationTokens, Requests, CPUSeconds float64
}

// Server is one pod's model server. It listens on the same address after a
// restart.
type Server struct {
	address string
	model   string

	mu      sync.Mutex // guards everything below
	load    Load
	totals  Totals
	ttft    histogram
	e2e     histogram
	step    histogram // tokens per engine step
	since   time.Time // totals are true for this time
	started time.Time
	http    *http.Server // nil while the container is down
	hangs   bool         // /metrics does not answer
}

// Start listens on address and serves until the test ends.
func Start(t testing.TB, address, model string) *Server {
	t.Helper()
	s := &Server{address: address, model: model}
	s.Restart(t)
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// Address is the pod's metrics endpoint, host and port.
func (s *Server) Address() string { return s.address }

// Set changes the load.
func (s *Server) Set(load Load) { s.Update(func(l *Load, _ *Totals) { *l = load }) }

// Update changes load and totals in one step: no scrape sees half of it.
func (s *Server) Update(change func(*Load, *Totals)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(time.Now())
	change(&s.load, &s.totals)
}

// Stop makes the container go away: the port refuses connections. Stopping a
// stopped server does nothing.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	server := s.http
	s.http = nil
	s.mu.Unlock()
	if server == nil {
		return
	}
	// Close also ends the connection the scraper keeps alive; outside the lock,
	// because a handler in flight wants it.
	if err := server.Close(); err != nil {
		t.Errorf("model server %s: %v", s.address, err)
	}
}

// Restart starts the stopped server as a new process does: idle, every counter
// at zero.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		t.Fatalf("model server: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.load, s.totals, s.since, s.started = Load{}, Totals{}, now, now
	s.ttft, s.e2e, s.step = newHistogram(timeToFirstTokenBounds), newHistogram(latencyBounds), newHistogram(stepBounds)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", s.metrics)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	s.http = server
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // a stand-in that dies silently would look like a pod that died
		}
	}()
}

// Hang has /metrics answer no request, as a server under pressure does, or answer
// again.
func (s *Server) Hang(hang bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangs = hang
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.hangs {
		s.mu.Unlock()
		<-r.Context().Done()
		return
	}
	s.advance(time.Now())
	// prometheus_client's choose_encoder takes OpenMetrics as soon as the
	// scraper mentions it, whatever its q.
	e := exposition{openMetrics: strings.Contains(r.Header.Get("Accept"), "application/openmetrics-text")}
	s.write(&e)
	s.mu.Unlock()
	w.Header().Set("Content-Type", e.contentType())
	_, _ = w.Write(e.finish())
}

// advance brings the totals up to now. The caller holds mu.
func (s *Server) advance(now time.Time) {
	dt := now.Sub(s.since).Seconds()
	s.since = now
	s.totals.PromptTokens += s.load.PromptTokens * dt
	s.totals.GenerationTokens += s.load.GenerationTokens * dt
	s.totals.CPUSeconds += s.load.CPU * dt
	finished := s.load.Requests * dt
	s.totals.Requests += finished
	s.ttft.observe(s.load.TimeToFirstToken, finished)
	s.e2e.observe(s.load.E2ELatency, finished)
	if steps := s.load.GenerationTokens * dt / math.Max(s.load.Running, 1); steps > 0 {
		s.step.observe((s.load.PromptTokens+s.load.GenerationTokens)*dt/steps, steps)
	}
}
