package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/storage"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/config"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/httpapi"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/inspect"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/selfmetrics"
	"github.com/keda-otel-scaler/keda-otel-scaler/otlpreceiver"
	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// prometheusVersion is the release whose PromQL and API these are; Prometheus'
// module v0.316.0 is its release 3.16.0.
const prometheusVersion = "3.16.0"

func newAPI(cfg config.Config, samples *store.Store, queries *query.Engine, answers *scaler.Server, a Addresses, logger *slog.Logger, registry *prometheus.Registry) *httpapi.API {
	engine, parser := queries.PromQL()
	build := selfmetrics.ReadBuild()
	return httpapi.New(httpapi.Options{
		Queryable:    samples,
		Engine:       engine,
		Parser:       parser,
		Metadata:     samples.Metadata,
		AddOn:        addOn(queries),
		Decide:       decide(answers),
		Reset:        reset(cfg, samples, answers),
		Within:       within(cfg, samples, answers),
		Timeout:      cfg.QueryTimeout,
		Concurrency:  queriesAtATime(cfg),
		SumSelectors: cfg.HTTPSumSelectors,
		CORSOrigin:   regexp.MustCompile("^(?:" + cfg.HTTPCORSOrigin + ")$"), // Validate has compiled it
		Retention:    cfg.Retention,
		Build: httpapi.Build{
			Version:     prometheusVersion,
			Revision:    build.Revision,
			GoVersion:   build.GoVersion,
			Application: "keda-otel-scaler " + build.Version,
		},
		Info: map[string]string{ // the names that otel-add-on gives them
			"version":          build.Version,
			"goVersion":        build.GoVersion,
			"gitSha":           build.Revision[:min(7, len(build.Revision))],
			"os":               runtime.GOOS,
			"arch":             runtime.GOARCH,
			"retentionSeconds": strconv.FormatFloat(cfg.Retention.Seconds(), 'f', -1, 64),
			"otlpPort":         portOf(a.OTLPGRPC),
			"scalerPort":       portOf(a.KEDAGRPC),
		},
		Logger:     logger,
		Registerer: registry,
	})
}

// queriesAtATime leaves half the cores to others: a call of KEDA's waits at each of
// its steps until one of those that evaluate is interrupted, after ten milliseconds.
func queriesAtATime(cfg config.Config) int {
	if cfg.QueryMaxConcurrency > 0 {
		return cfg.QueryMaxConcurrency
	}
	return max(1, runtime.GOMAXPROCS(0)/2)
}

// decide tells a fault of the query from one of its result.
func decide(answers *scaler.Server) func(context.Context, string, string) (float64, error) {
	return func(ctx context.Context, namespace, text string) (float64, error) {
		v, err := answers.Answer(ctx, namespace, text)
		switch {
		case errors.Is(err, query.ErrBadQuery):
			err = httpapi.BadQuery(fmt.Errorf("%w: %w", httpapi.ErrNoDecision, err))
		case errors.Is(err, query.ErrSeveral):
			err = fmt.Errorf("%w: %w", httpapi.ErrNoDecision, err)
		}
		return v, err
	}
}

// reset is nil if nobody may.
func reset(cfg config.Config, samples *store.Store, answers *scaler.Server) func() {
	if !cfg.HTTPAllowReset {
		return nil
	}
	return func() { answers.Reset(samples.Reset) }
}

// within is nil if everybody sees everything.
func within(cfg config.Config, samples *store.Store, answers *scaler.Server) func(string) storage.Queryable {
	if cfg.NamespaceLabel == "" {
		return nil
	}
	return func(namespace string) storage.Queryable { return answers.Scope(namespace).Within(samples) }
}

// addOn evaluates as a trigger's metadata would be.
func addOn(queries *query.Engine) func(context.Context, string, string) (float64, error) {
	return func(ctx context.Context, text, overTime string) (float64, error) {
		over, err := query.ParseOverTime(overTime)
		if err != nil {
			return 0, err
		}
		plan, err := queries.Compile(query.Scope{}, text, over)
		if err != nil {
			return 0, err
		}
		v, ok, err := plan.Eval(ctx, time.Now())
		if err == nil && !ok {
			err = fmt.Errorf("%s has no value", plan)
		}
		return v, err
	}
}

func portOf(address net.Addr) string {
	_, port, _ := net.SplitHostPort(address.String()) // a listener's has one
	return port
}

// prometheusOTLP is where Prometheus has OTLP/HTTP: an otlphttp exporter is given
// it less the path of the metrics.
const prometheusOTLP = "/api/v1/otlp" + otlpreceiver.MetricsPath

// httpHandler serves the page at the root, the APIs, and OTLP as Prometheus does.
func httpHandler(api *httpapi.API, otlp http.Handler, answers *scaler.Server, queries *query.Engine, gates *gates, traces traces, a Addresses) http.Handler {
	asked := http.NewServeMux()
	asked.Handle("GET /{$}", indexHandler(a))
	api.Register(asked)
	asked.Handle(inspect.New(answers, queries.Metrics))

	mux := http.NewServeMux()
	mux.Handle(prometheusOTLP, gates.guardOTLPOnHTTP(otlp))
	mux.Handle("/", gates.guardHTTP(traces.handler(asked)))
	return mux
}
