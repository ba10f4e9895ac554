package store

import (
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// iterator implements chunkenc.Iterator over a copy of a series' samples.
type iterator struct {
	samples []sample
	i       int
}

func (it *iterator) reset(samples []sample) { it.samples, it.i = samples, -1 }

func (it *iterator) kind() chunkenc.ValueType {
	switch {
	case it.i >= len(it.samples):
		return chunkenc.ValNone
	case it.samples[it.i].hist != nil:
		return chunkenc.ValFloatHistogram
	default:
		return chunkenc.ValFloat
	}
}

func (it *iterator) Next() chunkenc.ValueType {
	if it.i < len(it.samples) {
		it.i++
	}
	return it.kind()
}

func (it *iterator) Seek(t int64) chunkenc.ValueType {
	from := max(it.i, 0)
	it.i = from + sort.Search(len(it.samples)-from, func(i int) bool { return it.samples[from+i].t >= t })
	return it.kind()
}

func (it *iterator) At() (int64, float64) {
	s := it.samples[it.i]
	return s.t, s.v
}

// AtHistogram is never called: the store holds float histograms only, and says so.
func (it *iterator) AtHistogram(*histogram.Histogram) (int64, *histogram.Histogram) {
	panic("store: AtHistogram called on a float histogram")
}

func (it *iterator) AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	s := it.samples[it.i]
	if h == nil {
		return s.t, s.hist.Copy()
	}
	s.hist.CopyTo(h)
	return s.t, h
}

func (it *iterator) AtT() int64  { return it.samples[it.i].t }
func (it *iterator) AtST() int64 { return 0 }
func (it *iterator) Err() error  { return nil }
