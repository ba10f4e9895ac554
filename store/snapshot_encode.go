package store

import (
	"context"
	"encoding/json"
	"math"
	"math/bits"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/encoding"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

// The kinds of a snapshot's blocks, the first byte of each. The rest of a block of
// series is, for each of them, its labels and its body, both as texts with a length. The
// first use of a label in a block is a zero, its name and its value; later ones are its
// number in the block, from 1 on.
const (
	blockSeries    = 's'
	blockDescribed = 'd' // metadata, as JSON
)

// snapshotBlock is the size, in bytes, of a full block.
const snapshotBlock = 256 << 10

// sampleHistogram is set in the time of a sample that is a histogram.
const sampleHistogram = 1

// Snapshot passes everything in the store to emit, in blocks for Restore. A block is
// emit's until it returns.
//
// It blocks no reader or writer for long: a series is locked while its samples are
// copied, the index while the labels of one series are read, and nothing while emit runs.
// So the newest samples are from before or after a moment in between. Series that are
// created meanwhile are left out: one that is freed and created again would be there
// twice.
func (s *Store) Snapshot(emit func(block []byte) error) error {
	found, err := s.index.Find(context.Background())
	if err != nil {
		return err
	}
	e := encoder{mint: s.now() - s.opts.Retention.Milliseconds(), numbers: map[labels.Label]int{}}
	for i, ser := range found {
		if e.copySamples(ser) {
			e.labels.Reset()
			s.index.EachPairOf(found[i:i+1], e.label)
			e.add()
		}
		if e.block.Len() >= snapshotBlock || i == len(found)-1 && e.block.Len() > 0 {
			if err := emit(e.block.Get()); err != nil {
				return err
			}
			e.block.Reset()
			clear(e.numbers)
		}
	}
	families := s.Metadata("")
	if len(families) == 0 {
		return nil
	}
	described, err := json.Marshal(families)
	if err != nil {
		return err
	}
	return emit(append([]byte{blockDescribed}, described...))
}

// encoder writes series into a block.
type encoder struct {
	mint    int64
	numbers map[labels.Label]int // of the labels in the block
	block   encoding.Encbuf

	// Of the series that is being written.
	labels, body encoding.Encbuf
	samples      []ring.Sample
}

// copySamples begins the body of a series. It copies the samples within the retention,
// and in any case the newest value with the markers after it; ok is false if there are none.
func (e *encoder) copySamples(ser *Series) (ok bool) {
	ser.mu.Lock()
	defer ser.mu.Unlock()
	if ser.freed || ser.ring.Len() == 0 {
		return false
	}
	e.body.Reset()
	e.body.PutVarint64(int64(ser.lag))
	e.body.PutUvarint32(ser.interval)
	e.body.PutUvarint32(ser.ahead)
	e.samples = e.samples[:0]
	first := min(ser.ring.Search(e.mint), ser.ring.Len()-1)
	for first > 0 && ser.ring.At(first).Stale() {
		first--
	}
	for i := first; i < ser.ring.Len(); i++ {
		e.samples = append(e.samples, ser.ring.At(i))
	}
	return true
}

func (e *encoder) label(name, value string) {
	l := labels.Label{Name: name, Value: value}
	n, known := e.numbers[l]
	e.labels.PutUvarint(n)
	if !known {
		e.numbers[l] = len(e.numbers) + 1
		e.labels.PutUvarintStr(name)
		e.labels.PutUvarintStr(value)
	}
}

// add adds the series to the block, unless it has no labels: it was freed meanwhile.
//
// Times are written as differences of differences, values as the bits that differ from
// the value before, so that a regular series of small numbers takes three bytes a sample.
func (e *encoder) add() {
	if e.labels.Len() == 0 {
		return
	}
	t, delta, before := e.samples[0].T, int64(0), uint64(0)
	e.body.PutUvarint(len(e.samples))
	e.body.PutVarint64(t)
	for _, in := range e.samples {
		second := in.T - t - delta
		t, delta = in.T, delta+second
		if in.Hist != nil {
			e.body.PutVarint64(second<<1 | sampleHistogram)
			e.histogram(in.Hist)
			continue
		}
		e.body.PutVarint64(second << 1)
		word := math.Float64bits(in.V)
		e.body.PutUvarint64(bits.ReverseBytes64(word ^ before))
		before = word
	}
	if e.block.Len() == 0 {
		e.block.PutByte(blockSeries)
	}
	e.block.PutUvarintBytes(e.labels.Get())
	e.block.PutUvarintBytes(e.body.Get())
}

func (e *encoder) histogram(h *histogram.FloatHistogram) {
	e.body.PutByte(byte(h.CounterResetHint))
	e.body.PutVarint64(int64(h.Schema))
	e.floats(h.ZeroThreshold, h.ZeroCount, h.Count, h.Sum)
	for _, spans := range [][]histogram.Span{h.PositiveSpans, h.NegativeSpans} {
		e.body.PutUvarint(len(spans))
		for _, s := range spans {
			e.body.PutVarint64(int64(s.Offset))
			e.body.PutUvarint32(s.Length)
		}
	}
	for _, values := range [][]float64{h.PositiveBuckets, h.NegativeBuckets, h.CustomValues} {
		e.body.PutUvarint(len(values))
		e.floats(values...)
	}
}

// floats writes few bytes for whole numbers.
func (e *encoder) floats(values ...float64) {
	for _, v := range values {
		e.body.PutUvarint64(bits.ReverseBytes64(math.Float64bits(v)))
	}
}
