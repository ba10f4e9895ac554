// Package serve is the program's wiring: it builds the parts out of a
// configuration, opens their listeners, runs them, and stops them.
//
// It starts everything or nothing, and stops in bounded time whatever its peers
// do. It decides nothing about data. Nothing imports it but main.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/admission"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/config"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/selfmetrics"
	"github.com/keda-otel-scaler/keda-otel-scaler/otlpreceiver"
	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// Addresses are where the servers listen, with the port the kernel chose if the
// configuration said 0.
type Addresses struct {
	OTLPGRPC, OTLPHTTP, KEDAGRPC, HTTP, Telemetry net.Addr
	Admission                                     net.Addr // nil without a webhook
}

// Run serves until ctx is done or a part fails, stops within
// cfg.ShutdownTimeout, and returns when nothing of it runs any more. Being told
// to stop is no error. started, if any, is called once, when all servers listen.
func Run(ctx context.Context, cfg config.Config, logger *slog.Logger, started ...func(Addresses)) error {
	listeners, err := listen(ctx, cfg)
	if err != nil {
		return err
	}
	return run(ctx, cfg, logger, listeners, started...)
}

// run is Run with the sockets open; it closes them.
func run(ctx context.Context, cfg config.Config, logger *slog.Logger, listeners *listeners, started ...func(Addresses)) error {
	defer listeners.close() // for a failure before the servers have them; closing twice is harmless

	if err := smallPages(); err != nil {
		logger.Debug("huge pages can't be declined", "error", err)
	}
	defer paceGC()()
	spare := newSpareThread()
	defer spare.stop()
	registry := selfmetrics.NewRegistry()
	memory := newMemory()
	listeners.bound(cfg, newConnections(registry), memory)
	samples := store.New(store.Options{
		Retention:           cfg.Retention,
		MaxRetention:        cfg.MaxRetention,
		Lookback:            cfg.Lookback,
		MaxSeries:           cfg.MaxSeries,
		MaxSeriesPerMetric:  cfg.MaxSeriesPerMetric,
		MaxSamplesPerSeries: cfg.MaxSamplesPerSeries,
		Full:                memory.full,
		Registerer:          registry,
	})
	receiver, err := otlpreceiver.New(otlpreceiver.Options{
		Store:              samples,
		ResourceAttributes: cfg.ResourceAttributes,
		MaxHeldBytes:       memory.inflight(cfg.MaxInflightBytes),
		Tight:              memory.tight,
		Late:               spare.needed,
		Logger:             logger,
		Registerer:         registry,
	})
	if err != nil {
		return fmt.Errorf("OTLP receiver: %w", err)
	}
	queries, err := query.New(query.Options{
		Store:        samples,
		Retention:    cfg.Retention,
		MaxRetention: cfg.MaxRetention,
		Lookback:     cfg.Lookback,
		Timeout:      cfg.QueryTimeout,
		MaxSamples:   cfg.QueryMaxSamples,
		CacheSize:    cfg.QueryCacheSize,
		Long:         spare.needed,
		Logger:       logger,
		Registerer:   registry,
	})
	if err != nil {
		return fmt.Errorf("query engine: %w", err)
	}
	policy, err := scaler.ParseOnMissing(cfg.OnMissing)
	if err != nil {
		return fmt.Errorf("%s: %w", cfg.Setting("on-missing", cfg.OnMissing), err)
	}
	answers, err := scaler.New(scaler.Options{
		Queries:        queries,
		WarmUp:         cfg.WarmUp,
		Missing:        scaler.Missing{Policy: policy, Value: cfg.ValueIfNotFound},
		MaxStreams:     cfg.MaxStreams,
		MaxListed:      cfg.TelemetryMaxTriggers,
		NamespaceLabel: cfg.NamespaceLabel,
		Logger:         logger,
		Registerer:     registry,
	})
	if err != nil {
		return fmt.Errorf("scaler: %w", err)
	}

	gates, err := newGates(cfg, logger, registry)
	if err != nil {
		return err
	}
	snapshots := newSnapshots(cfg, samples, answers, logger, registry)
	if snapshots != nil {
		snapshots.restore()
	}

	traces, err := newTraces(cfg, logger)
	if err != nil {
		return err
	}

	state := newState()
	calls := selfmetrics.NewGRPC(registry, logger)
	limits := newLimits(cfg, samples, receiver, answers, registry, logger)
	api := newAPI(cfg, samples, queries, answers, listeners.addresses(), logger, registry)
	otlp := receiver.Handler(cfg.MaxRequestBytes)
	s := &servers{
		traces:    traces,
		state:     state,
		snapshots: snapshots,
		scaler:    answers,
		otlp:      newOTLPServer(cfg, gates, calls, receiver),
		otlpHTTP:  newHTTPServer(otlpHandler(gates.guardOTLP(otlp)), gates.otlpHTTP, logger, 0),
		keda:      newKEDAServer(cfg, gates, calls, traces, answers, state),
		api:       api,
		http:      newHTTPServer(httpHandler(api, otlp, answers, queries, gates, traces, listeners.addresses()), gates.http, logger, cfg.QueryTimeout),
		telemetry: newHTTPServer(telemetryHandler(registry, state, gates, snapshots, cfg.Profiling), nil, logger, 0),
	}

	if listeners.admission != nil {
		s.admission = newHTTPServer(admission.New(admission.Options{Checker: answers, Service: cfg.AdmissionService}), gates.admission, logger, 0)
	}

	group, ctx := errgroup.WithContext(ctx)
	storeCtx, stopStore := context.WithCancel(context.WithoutCancel(ctx)) // the store outlives its users
	group.Go(func() error { return samples.Run(storeCtx) })
	group.Go(func() error { return receiver.Run(storeCtx) })
	group.Go(func() error { return answers.Run(storeCtx) })
	group.Go(func() error { return memory.run(storeCtx) })
	if snapshots != nil {
		group.Go(func() error { return snapshots.run(ctx) })
	}
	gates.run(ctx, group)
	group.Go(func() error { return limits.Run(storeCtx) })
	group.Go(serveGRPC("otlp-grpc", s.otlp, listeners.otlp))
	group.Go(serveHTTP("otlp-http", s.otlpHTTP, listeners.otlpHTTP))
	group.Go(serveGRPC("keda-grpc", s.keda, listeners.keda))
	group.Go(serveHTTP("http", s.http, listeners.http))
	group.Go(serveHTTP("telemetry", s.telemetry, listeners.telemetry))
	if s.admission != nil {
		group.Go(serveHTTP("admission", s.admission, listeners.admission))
	}
	state.started()
	group.Go(func() error {
		defer stopStore()
		<-ctx.Done()
		s.stop(cfg.ShutdownTimeout, logger)
		return nil
	})

	listeners.log(logger)
	logStarted(logger, cfg)
	for _, f := range started {
		f(listeners.addresses())
	}
	err = group.Wait()
	logger.Info("stopped")
	return err
}

func serveGRPC(name string, server *grpc.Server, listener net.Listener) func() error {
	return func() error {
		if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			return fmt.Errorf("%s server: %w", name, err)
		}
		return nil
	}
}

func serveHTTP(name string, server *http.Server, listener net.Listener) func() error {
	return func() error {
		serve := server.Serve
		if server.TLSConfig != nil {
			serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("%s server: %w", name, err)
		}
		return nil
	}
}
