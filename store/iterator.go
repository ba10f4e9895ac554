package store

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
)

// iterator is Prometheus' own over a copy of a series' samples. The copy's
// room is used again when a caller hands the iterator back.
type iterator struct {
	chunkenc.Iterator
	samples copied
}

func newIterator() *iterator {
	it := &iterator{}
	it.Iterator = storage.NewListSeriesIterator(&it.samples)
	return it
}

func (it *iterator) reset(samples []sample) {
	it.samples = samples
	it.Iterator.(interface{ Reset(storage.Samples) }).Reset(&it.samples)
}

// copied implements storage.Samples.
type copied []sample

func (c *copied) Get(i int) chunks.Sample { return &(*c)[i] }
func (c *copied) Len() int                { return len(*c) }

// What follows makes sample a chunks.Sample.

func (s *sample) T() int64                { return s.t }
func (s *sample) ST() int64               { return 0 }
func (s *sample) F() float64              { return s.v }
func (s *sample) H() *histogram.Histogram { return nil }

// FH copies: the engine reckons in place with what it gets.
func (s *sample) FH() *histogram.FloatHistogram {
	if s.hist == nil {
		return nil
	}
	return s.hist.Copy()
}

func (s *sample) Type() chunkenc.ValueType {
	if s.hist != nil {
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}

func (s *sample) Copy() chunks.Sample {
	return &sample{t: s.t, v: s.v, hist: s.FH()}
}
