package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"google.golang.org/grpc"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/config"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/selfmetrics"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/tracing"
)

// traces are of the questions, or of nothing: without a tracer no request takes
// another way than before.
type traces struct{ *tracing.Tracer }

func newTraces(cfg config.Config, logger *slog.Logger) (traces, error) {
	if cfg.TracesEndpoint == "" {
		return traces{}, nil
	}
	t, err := tracing.New(context.Background(), tracing.Options{
		Endpoint: cfg.TracesEndpoint,
		Version:  selfmetrics.ReadBuild().Version,
		Logger:   logger,
	})
	if err != nil {
		return traces{}, fmt.Errorf("%s: %w", cfg.Setting("traces-endpoint", cfg.TracesEndpoint), err)
	}
	return traces{t}, nil
}

func (t traces) options() []grpc.ServerOption {
	if t.Tracer == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(t.Unary())}
}

func (t traces) handler(next http.Handler) http.Handler {
	if t.Tracer == nil {
		return next
	}
	return t.Handler(next)
}

// stop sends the last spans in half of the time there is until the end.
func (t traces) stop(ctx context.Context, end time.Time, logger *slog.Logger) {
	if t.Tracer == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Until(end)/2)
	defer cancel()
	if err := t.Stop(ctx); err != nil {
		logger.Warn("the last spans are lost", "error", err)
	}
}
