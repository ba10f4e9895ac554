package serve

import (
	"log/slog"

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
		l.Why = func() string {
			e, _ := samples.Explosion()
			return e.String()
		}
		return l
	}
	return selfmetrics.NewLimits(registry, logger,
		exploded(limit("series", "--max-series", samples.MaxSeries(), samples.SeriesCount)),
		exploded(limit("series_per_metric", "--max-series-per-metric", samples.MaxSeriesPerMetric(), samples.LargestMetric)),
		limit("series_kept", "--max-series", samples.MaxKept(), samples.KeptCount),
		limit("inflight_bytes", "--max-inflight-bytes", receiver.MaxHeldBytes(), receiver.HeldBytes),
		limit("streams", "--max-streams", cfg.MaxStreams, answers.Streams),
		limit("triggers", "", scaler.MaxTriggers, answers.Triggers),
	)
}
