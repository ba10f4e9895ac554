package serve

import (
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/config"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/selfmetrics"
	"github.com/keda-otel-scaler/keda-otel-scaler/otlpreceiver"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// newLimits are those that data and KEDA fill, as opposed to those of one request.
func newLimits(cfg config.Config, samples *store.Store, receiver *otlpreceiver.Receiver, answers *scaler.Server, registry *prometheus.Registry, logger *slog.Logger) *selfmetrics.Limits {
	limit := func(name, flag string, most int, used func() int) selfmetrics.Limit {
		return selfmetrics.Limit{Name: name, Flag: flag, Most: float64(most), Used: func() float64 { return float64(used()) }}
	}
	exploded := func(l selfmetrics.Limit) selfmetrics.Limit {
		l.Why = func() string { return samples.Cardinality().String() }
		return l
	}
	return selfmetrics.NewLimits(registry, logger,
		exploded(limit("series", "--max-series", samples.MaxSeries(), samples.SeriesCount)),
		exploded(limit("series_per_metric", "--max-series-per-metric", cfg.MaxSeriesPerMetric, samples.LargestMetric)),
		limit("series_kept", "--max-series", samples.MaxSelected(), samples.SelectedCount),
		limit("inflight_bytes", "--max-inflight-bytes", receiver.MaxHeldBytes(), receiver.HeldBytes),
		limit("streams", "--max-streams", cfg.MaxStreams, answers.Streams),
		limit("triggers", "", scaler.MaxTriggers, answers.Triggers),
	)
}

// logStarted tells which build runs and what bounds it, which is what whoever
// reads a log of a death asks first. What the machine gives is not in the flags.
func logStarted(logger *slog.Logger, cfg config.Config) {
	build := selfmetrics.ReadBuild()
	memory := debug.SetMemoryLimit(-1) // a negative one only reads
	attrs := []any{
		"version", build.Version, "revision", build.Revision, "go", build.GoVersion,
		"procs", runtime.GOMAXPROCS(0),
		"max series", cfg.MaxSeries, "max series per metric", cfg.MaxSeriesPerMetric, "max samples per series", cfg.MaxSamplesPerSeries,
		"max streams", cfg.MaxStreams, "retention", cfg.Retention, "max retention", cfg.MaxRetention, "warm-up", cfg.WarmUp, "on missing", cfg.OnMissing,
	}
	if memory != math.MaxInt64 {
		attrs = append(attrs, "memory limit", memory)
	}
	if cfg.NamespaceLabel != "" {
		attrs = append(attrs, "enforced label", cfg.NamespaceLabel)
	}
	logger.Info("started", attrs...)
}
