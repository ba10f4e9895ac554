package promql

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// liveStorage is our store as it is in production, with its own retention and
// sense of silence: samples arrive when they were taken, those of one moment in
// one push.
type liveStorage struct {
	storageOf
	now *atomic.Int64 // ms
}

func newLiveStorage(testing.TB) storage.Storage {
	s := liveStorage{now: &atomic.Int64{}}
	s.held = store.New(store.Options{Now: func() time.Time { return time.UnixMilli(s.now.Load()) }})
	return s
}

// reach moves the clock, which never goes back.
func (s liveStorage) reach(ms int64) {
	if ms > s.now.Load() {
		s.now.Store(ms)
		s.held.Sweep()
	}
}

func (s liveStorage) ours() *store.Store { return s.held }

func (s liveStorage) AppenderV2(context.Context) storage.AppenderV2 { return &liveAppender{s: s} }

// liveAppender holds a script's samples, which come series by series, until they
// can be pushed in the order of time.
type liveAppender struct {
	s       liveStorage
	samples []func(*store.Appender) error
	times   []int64
}

func (a *liveAppender) Append(ref storage.SeriesRef, lset labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AppendV2Options) (storage.SeriesRef, error) {
	a.times = append(a.times, t)
	a.samples = append(a.samples, func(to *store.Appender) error {
		_, err := (&appender{to}).Append(ref, lset, st, t, v, h, fh, o)
		return err
	})
	return 0, nil
}

func (a *liveAppender) Commit() error {
	order := make([]int, len(a.times))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(a.times[i], a.times[j]) })
	for len(order) > 0 {
		now := a.times[order[0]]
		a.s.reach(now)
		push := a.s.held.Appender()
		for len(order) > 0 && a.times[order[0]] == now {
			if err := a.samples[order[0]](push); err != nil {
				return err
			}
			order = order[1:]
		}
		push.Commit()
	}
	return nil
}

func (*liveAppender) Rollback() error { return errNotThere }

// atItsTime has the store's clock at each query's moment, if it was not later.
type atItsTime struct{ promql.QueryEngine }

func (e atItsTime) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, text string, at time.Time) (promql.Query, error) {
	// The runner asks each query once more with its moment in the text, long before
	// and long after it.
	if !strings.Contains(text, "@") {
		q.(liveStorage).reach(at.UnixMilli())
	}
	return e.QueryEngine.NewInstantQuery(ctx, q, opts, text, at)
}
