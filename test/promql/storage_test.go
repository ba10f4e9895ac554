package promql

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// arrival is when all samples of a script arrive: long after they were taken,
// and at once, so that no series has a rhythm to fall silent against and all
// that the scripts meet is what Prometheus has, too. It is as late as the
// distance of a sample from its arrival reaches.
const arrival = math.MaxInt32

var errNotThere = errors.New("our store has none")

// storageOf is our store as the runner of scripts wants a storage. What it has
// no use for is left to the embedded nil.
type storageOf struct {
	storage.Storage
	held *store.Store
}

func newStorage(testing.TB) storage.Storage {
	return storageOf{held: store.New(store.Options{
		Retention:           100 * 365 * 24 * time.Hour,
		Lookback:            lookback,
		MaxSamplesPerSeries: 1 << 24,
		Now:                 func() time.Time { return time.UnixMilli(arrival) },
	})}
}

const lookback = 5 * time.Minute

func (s storageOf) Querier(mint, maxt int64) (storage.Querier, error) {
	return s.held.Querier(mint, maxt)
}

func (s storageOf) ours() *store.Store { return s.held }

func (storageOf) Close() error { return nil }

func (s storageOf) AppenderV2(context.Context) storage.AppenderV2 {
	return &appender{s.held.Appender()}
}

type appender struct{ to *store.Appender }

// Append implements storage.AppenderV2, but for what our store does not keep:
// start timestamps, metadata and exemplars.
func (a *appender) Append(_ storage.SeriesRef, lset labels.Labels, _, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, _ storage.AppendV2Options) (storage.SeriesRef, error) {
	if h != nil {
		fh = h.ToFloat(nil)
	}
	var out store.Outcome
	var err error
	if fh != nil {
		out, err = a.to.AppendHistogram(lset, t, fh.Copy())
	} else {
		out, err = a.to.Append(lset, t, v)
	}
	if err == nil && out != store.Stored {
		err = errors.New("a sample of the script is " + out.String())
	}
	return 0, err
}

func (a *appender) Commit() error {
	a.to.Commit()
	return nil
}

func (*appender) Rollback() error { return errNotThere }
