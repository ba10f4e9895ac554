package serve

import (
	"sync/atomic"

	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// state is how far the program is between start and end, as its probes tell it.
type state struct {
	health *health.Server
	reason atomic.Pointer[string] // why not ready; nil when ready
}

func newState() *state {
	s := &state{health: health.NewServer()}
	s.because("starting")
	// The probes of otel-add-on's chart ask for services of these two names.
	for _, service := range []string{"", "liveness", "readiness"} {
		s.health.SetServingStatus(service, grpc_health_v1.HealthCheckResponse_SERVING)
	}
	return s
}

func (s *state) because(reason string) { s.reason.Store(&reason) }

func (s *state) started() { s.reason.Store(nil) }

// stopping makes every probe turn traffic away.
func (s *state) stopping() {
	s.because("shutting down")
	s.health.Shutdown()
}

// notReady is the reason, or empty.
func (s *state) notReady() string {
	if reason := s.reason.Load(); reason != nil {
		return *reason
	}
	return ""
}
