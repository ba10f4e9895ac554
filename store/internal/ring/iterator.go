package ring

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
)

// Iterator is Prometheus' list iterator over copied samples. It is reused: Clear,
// Append, Rewind, then iterate.
type Iterator struct {
	chunkenc.Iterator
	samples points
}

// NewIterator returns an iterator without samples.
func NewIterator() *Iterator {
	it := &Iterator{}
	it.Iterator = storage.NewListSeriesIterator(&it.samples)
	return it
}

// Clear removes the samples, and keeps their memory.
func (it *Iterator) Clear() { it.samples = it.samples[:0] }

// Append adds a sample, which must be newer than those before.
func (it *Iterator) Append(s Sample) { it.samples = append(it.samples, point{s}) }

// Rewind makes the iterator begin with the first sample.
func (it *Iterator) Rewind() {
	it.Iterator.(interface{ Reset(storage.Samples) }).Reset(&it.samples)
}

// points implements storage.Samples.
type points []point

func (p *points) Get(i int) chunks.Sample { return &(*p)[i] }
func (p *points) Len() int                { return len(*p) }

// point makes a Sample a chunks.Sample.
type point struct{ s Sample }

func (p *point) T() int64                { return p.s.T }
func (p *point) ST() int64               { return 0 }
func (p *point) F() float64              { return p.s.V }
func (p *point) H() *histogram.Histogram { return nil }

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

func (p *point) Copy() chunks.Sample { return &point{Sample{p.s.T, p.s.V, p.FH()}} }
