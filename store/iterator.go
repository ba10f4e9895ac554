package store

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

// iterator is Prometheus' list iterator over copied samples. It is reused: change the
// samples, rewind, then iterate.
type iterator struct {
	chunkenc.Iterator
	samples points
}

func newIterator() *iterator {
	it := &iterator{}
	it.Iterator = storage.NewListSeriesIterator(&it.samples)
	return it
}

func (it *iterator) rewind() {
	it.Iterator.(interface{ Reset(storage.Samples) }).Reset(&it.samples)
}

// points implements storage.Samples.
type points []point

func (p *points) Get(i int) chunks.Sample { return &(*p)[i] }
func (p *points) Len() int                { return len(*p) }

// point makes a Sample a chunks.Sample.
type point struct{ s ring.Sample }

func (p *point) T() int64                { return p.s.T }
func (p *point) ST() int64               { return 0 }
func (p *point) F() float64              { return p.s.V }
func (p *point) H() *histogram.Histogram { return nil }
func (p *point) Copy() chunks.Sample     { return &point{ring.Sample{T: p.s.T, V: p.s.V, Hist: p.FH()}} }

// FH copies, because the engine calculates in place.
func (p *point) FH() *histogram.FloatHistogram {
	if p.s.Hist == nil {
		return nil
	}
	return p.s.Hist.Copy()
}

func (p *point) Type() chunkenc.ValueType {
	if p.s.Hist != nil {
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}
