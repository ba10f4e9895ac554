package selfmetrics

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// lookEvery is how often the log hears of limits.
	lookEvery = 10 * time.Second
	// rearm is the share of a limit below which reaching it is news again.
	rearm = 0.9
)

// Limit is a bound of the program and how much of it is taken.
type Limit struct {
	Name string // a label value
	Flag string // by which it is raised; empty if there is none
	Most float64
	Used func() float64 // must cost little and wait for little
	Why  func() string  // what fills it, for the log; nil if there is nothing to say
}

// Limits are the program's.
type Limits struct {
	all     []Limit
	logger  *slog.Logger
	reached []bool // of all, as logged last; Run's alone
}

// NewLimits registers two gauges for each limit.
func NewLimits(registerer prometheus.Registerer, logger *slog.Logger, all ...Limit) *Limits {
	for _, l := range all {
		label := prometheus.Labels{"limit": l.Name}
		registerer.MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "keda_otel_scaler_limit", Help: "The most there may be of something.", ConstLabels: label,
			}, func() float64 { return l.Most }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "keda_otel_scaler_limit_used", Help: "How much there is of what is limited.", ConstLabels: label,
			}, l.Used),
		)
	}
	return &Limits{all: all, logger: logger, reached: make([]bool, len(all))}
}

// Run logs when a limit is reached, once until it was left well behind, until
// ctx is done.
func (l *Limits) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			l.look()
		}
	}
}

func (l *Limits) look() {
	for i, limit := range l.all {
		used := limit.Used()
		switch {
		case used >= limit.Most && !l.reached[i]:
			l.reached[i] = true
			more := []any{"limit", limit.Name, "most", limit.Most, "flag", limit.Flag}
			if limit.Why != nil {
				more = append(more, "most of it", limit.Why())
			}
			l.logger.Warn("a limit is reached: what goes beyond is refused, and counted at /metrics", more...)
		case used < rearm*limit.Most && l.reached[i]:
			l.reached[i] = false
			l.logger.Info("a limit is no longer reached", "limit", limit.Name, "used", used, "most", limit.Most)
		}
	}
}
