package serve

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/httpapi"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
)

// servers is everything that has peers.
type servers struct {
	state     *state
	snapshots *snapshots // nil without
	scaler    *scaler.Server
	otlp      *grpc.Server
	otlpHTTP  *http.Server
	keda      *grpc.Server
	api       *httpapi.API
	http      *http.Server
	telemetry *http.Server
	traces    traces
	admission *http.Server // nil without a webhook
}

// stop ends all servers within timeout. Requests in flight get most of it to
// finish; a peer that holds a connection or sends half a request loses it then.
// The telemetry server goes last, so that the probes can tell what happens.
func (s *servers) stop(timeout time.Duration, logger *slog.Logger) {
	end := time.Now().Add(timeout)
	working, cancel := context.WithDeadline(context.Background(), end.Add(-timeout/10))
	defer cancel()
	s.state.stopping()
	logger.Info("shutting down", "timeout", timeout)
	s.scaler.Stop() // GracefulStop waits for streams, and these end only now

	var all sync.WaitGroup
	all.Go(func() { stopGRPC(working, "keda-grpc", s.keda, logger) })
	all.Go(func() { stopGRPC(working, "otlp-grpc", s.otlp, logger) })
	all.Go(func() { stopHTTP(working, "otlp-http", s.otlpHTTP, logger) })
	all.Go(func() {
		stopHTTP(working, "http", s.http, logger)
		joining, cancel := context.WithDeadline(context.Background(), end.Add(-timeout/20))
		defer cancel()
		if err := s.api.Stop(joining); err != nil { // what was cut off may still be evaluating
			logger.Warn("leaving a query that does not stop", "error", err)
		}
	})
	if s.admission != nil {
		all.Go(func() { stopHTTP(working, "admission", s.admission, logger) })
	}
	all.Wait()

	last, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	s.snapshots.last(last)
	s.traces.stop(last, end, logger)
	stopHTTP(last, "telemetry", s.telemetry, logger)
}

func stopGRPC(ctx context.Context, name string, server *grpc.Server, logger *slog.Logger) {
	stopped := make(chan struct{})
	go func() {
		server.GracefulStop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-ctx.Done():
		logger.Warn("cutting off peers that did not finish", "server", name)
		server.Stop()
		<-stopped
	}
}

func stopHTTP(ctx context.Context, name string, server *http.Server, logger *slog.Logger) {
	if err := server.Shutdown(ctx); err != nil {
		logger.Warn("cutting off peers that did not finish", "server", name)
		_ = server.Close() // the listener is closed already
	}
}
