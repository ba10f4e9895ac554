package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/config"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/snapshot"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// The kinds of a snapshot's blocks, by who writes and reads them.
const (
	storeBlock   = 1
	triggerBlock = 2
)

// restShare is how many times as long as a snapshot took the next one waits at
// least: with a million series one takes most of a second of one core.
const restShare = 9

// snapshots writes what the store and the scaler hold to a file, and restores it.
type snapshots struct {
	cfg     config.Config
	samples *store.Store
	answers *scaler.Server
	logger  *slog.Logger
	found   string // what the start found, for the probe

	mu      sync.Mutex // held while the file is written; guards what follows
	failing bool

	success, size, duration, restored prometheus.Gauge
	written, failed                   prometheus.Counter
}

// newSnapshots returns nil if no snapshots are wanted.
func newSnapshots(cfg config.Config, samples *store.Store, answers *scaler.Server, logger *slog.Logger, registry prometheus.Registerer) *snapshots {
	if cfg.SnapshotPath == "" {
		return nil
	}
	f := promauto.With(registry)
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: "keda_otel_scaler_snapshot_" + name, Help: help})
	}
	writes := f.NewCounterVec(prometheus.CounterOpts{
		Name: "keda_otel_scaler_snapshot_writes_total",
		Help: "Snapshots that were written (success) or could not be (failure).",
	}, []string{"outcome"})
	return &snapshots{
		cfg: cfg, samples: samples, answers: answers, logger: logger,
		success:  gauge("last_success_timestamp_seconds", "When the last snapshot was taken that was written; 0 before the first."),
		size:     gauge("size_bytes", "Size of the last snapshot that was written."),
		duration: gauge("duration_seconds", "How long it took to write it; no request waits for that."),
		restored: gauge("restored_series", "Series that the start restored from a snapshot."),
		written:  writes.WithLabelValues("success"),
		failed:   writes.WithLabelValues("failure"),
	}
}

// restore restores what there is, before anything is served. Whatever is wrong
// with it, the program starts, without.
func (n *snapshots) restore() {
	path := n.cfg.SnapshotPath
	began := time.Now()
	taken, series, err := n.read()
	switch {
	case err == nil:
		age := began.Sub(taken).Round(time.Millisecond)
		moved := max(-age, 0) // as the store does with samples from the future
		n.answers.Restored(taken.Add(-moved), moved)
		n.restored.Set(float64(series))
		n.found = fmt.Sprintf("restored %d series from a snapshot that was %s old", series, age)
		n.logger.Info("restored a snapshot", "path", path, "series", series, "age", age, "took", time.Since(began).Round(time.Millisecond))
		return
	case errors.Is(err, fs.ErrNotExist):
		n.found = "there was no snapshot to restore"
		n.logger.Info("no snapshot to restore", "path", path, "waits", n.cfg.WarmUp)
		return
	case errors.Is(err, store.ErrOldSnapshot):
		n.logger.Warn("not restoring the snapshot", "path", path, "error", err, "waits", n.cfg.WarmUp)
	default:
		aside := path + ".damaged" // for whoever wants to know; the next write takes its place
		if err := os.Rename(path, aside); err != nil {
			aside = ""
		}
		n.logger.Error("could not restore the snapshot", "path", path, "error", err, "kept", aside, "waits", n.cfg.WarmUp)
	}
	n.answers.Forget()
	n.found = "the snapshot was not restored: " + err.Error()
}

func (n *snapshots) read() (taken time.Time, series int, err error) {
	r, err := snapshot.Open(n.cfg.SnapshotPath, int64(n.cfg.SnapshotMaxBytes))
	if err != nil {
		return taken, 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	// Almost all that is allocated now stays; collections on the way there would
	// take as long as the rest.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	series, err = n.samples.Restore(r.Taken, func() ([]byte, error) {
		for {
			kind, block, err := r.Next()
			switch {
			case err != nil || kind == storeBlock:
				return block, err
			case kind != triggerBlock:
				return nil, fmt.Errorf("%w: a block is of the unknown kind %d", store.ErrSnapshot, kind)
			}
			if err := n.answers.Restore(block); err != nil {
				return nil, fmt.Errorf("%w: %w", store.ErrSnapshot, err)
			}
		}
	})
	if errors.Is(err, io.EOF) { // only the store's own would be
		err = fmt.Errorf("%w: %w", store.ErrSnapshot, err)
	}
	return r.Taken, series, err
}

// run writes snapshots until ctx is done.
func (n *snapshots) run(ctx context.Context) error {
	timer := time.NewTimer(n.cfg.SnapshotInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			took, _ := n.write(ctx)
			timer.Reset(max(n.cfg.SnapshotInterval, restShare*took))
		}
	}
}

// write writes one, and returns how long that took. Of failures it logs the first.
func (n *snapshots) write(ctx context.Context) (took time.Duration, written bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken, started := time.Now(), n.answers.Started()
	size, err := snapshot.Write(n.cfg.SnapshotPath, taken, int64(n.cfg.SnapshotMaxBytes), func(put snapshot.Put) error {
		blocks := func(kind byte) func([]byte) error {
			return func(block []byte) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				return put(kind, block)
			}
		}
		if err := n.answers.Snapshot(blocks(triggerBlock)); err != nil {
			return err
		}
		if err := n.samples.Snapshot(blocks(storeBlock)); err != nil {
			return err
		}
		if !n.answers.Started().Equal(started) { // a reset has removed data meanwhile
			return scaler.ErrWarming
		}
		return nil
	})
	took = time.Since(taken)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, scaler.ErrWarming): // the end writes one, or a start that held needs none
		return took, false
	case err != nil:
		if n.failed.Inc(); !n.failing {
			n.logger.Error("could not write a snapshot; the one before stays", "path", n.cfg.SnapshotPath, "error", err)
		}
		n.failing = true
		return took, false
	case n.failing:
		n.logger.Info("a snapshot was written again", "path", n.cfg.SnapshotPath)
	}
	n.failing = false
	n.written.Inc()
	n.success.Set(float64(taken.UnixMilli()) / 1000)
	n.size.Set(float64(size))
	n.duration.Set(took.Seconds())
	return took, true
}

// last writes the snapshot of the end, when nothing comes in any more.
func (n *snapshots) last(ctx context.Context) {
	if n == nil {
		return
	}
	if took, written := n.write(ctx); written {
		n.logger.Info("wrote the last snapshot", "path", n.cfg.SnapshotPath, "took", took.Round(time.Millisecond))
	}
}

// detail is a line for the probe.
func (n *snapshots) detail() string {
	if n == nil {
		return ""
	}
	return n.found + "\n"
}
