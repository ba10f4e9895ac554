package store

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/metadata"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/labelindex"
	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

// The kinds of a snapshot's blocks, the first byte of each.
const (
	blockSeries    = 's' // new pairs of labels, and series that have these and earlier ones
	blockDescribed = 'd' // metadata
)

// snapshotBlock is the size, in bytes, of a full block.
const snapshotBlock = 256 << 10

// How a sample of a series with native histograms is written.
const (
	sampleFloat  = 0
	sampleLayout = 1 // a histogram with its buckets' layout
	sampleSame   = 2 // one with the layout of the histogram before
)

// The flags of a series.
const (
	flagWide = 1 << iota
	flagHists
)

// Snapshot passes everything in the store to emit, in blocks for Restore. A block is
// emit's until it returns.
//
// It blocks no reader or writer for long: a series is locked while its samples are copied, the index
// for at most 256 series, and nothing while emit runs. So the newest samples are from
// before or after a moment in between. Series that are created meanwhile are left out:
// one that is freed and created again would be there twice.
func (s *Store) Snapshot(emit func(block []byte) error) error {
	e := &encoder{s: s, emit: emit, mint: s.now() - s.opts.Retention.Milliseconds()}
	err := s.index.EachPage(func(series []*Series) error {
		for len(series) > 0 {
			s.index.View(func(pairs labelindex.Pairs) { series = e.page(pairs, series) })
			if err := e.flush(snapshotBlock); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := e.flush(1); err != nil {
		return err
	}
	return e.describe(s.Metadata(""))
}

// encoder writes series. It numbers labels in the order in which it meets them: the
// index may assign its own numbers to other labels meanwhile.
type encoder struct {
	s    *Store
	emit func([]byte) error
	mint int64

	numbers []numbered // by the index' numbers
	count   uint32     // pairs so far

	pairs, series []byte // of the block that is being made
	newPairs, n   uint64
	block         []byte

	body   []byte    // of the series that is being written
	ring   ring.Ring // its samples, copied to be written without its lock
	hists  []*histogram.FloatHistogram
	layout *histogram.FloatHistogram
}

// numbered is a pair's number in the snapshot, from 1 on, and what it stands for.
type numbered struct {
	n           uint32
	name, value string
}

// page writes series until the block is full, and returns those that are left.
func (e *encoder) page(pairs labelindex.Pairs, series []*Series) (left []*Series) {
	for i, ser := range series {
		if e.one(pairs, ser); len(e.series) >= snapshotBlock {
			return series[i+1:]
		}
	}
	return nil
}

// one writes a series, with the index locked.
func (e *encoder) one(pairs labelindex.Pairs, ser *Series) {
	ser.mu.Lock()
	if ser.freed || ser.ring.Len() == 0 {
		ser.mu.Unlock()
		return
	}
	lag, interval, ahead := ser.lag, ser.interval, ser.ahead
	ser.ring.CopyTo(&e.ring, &e.hists)
	ser.mu.Unlock()

	e.n++
	set := ser.entry.Set
	e.series = binary.AppendUvarint(e.series, uint64(set.Len())) //nolint:gosec // not negative
	for n := uint32(0); len(set) > 0; {
		n, set = set.Next()
		e.series = binary.AppendUvarint(e.series, uint64(e.number(pairs, n)-1))
	}
	body := binary.AppendVarint(e.body[:0], int64(lag))
	body = binary.AppendUvarint(body, uint64(interval))
	body = binary.AppendUvarint(body, uint64(ahead))
	e.body = e.samples(body)
	e.series = append(binary.AppendUvarint(e.series, uint64(len(e.body))), e.body...)
}

// number returns the snapshot's number of a pair, and writes a new pair.
func (e *encoder) number(pairs labelindex.Pairs, n uint32) uint32 {
	if need := int(n) + 1 - len(e.numbers); need > 0 {
		e.numbers = append(e.numbers, make([]numbered, need)...)
	}
	name, value, _ := pairs.At(n)
	known := &e.numbers[n]
	if known.n == 0 || known.value != value || known.name != name {
		e.count++
		*known = numbered{e.count, name, value}
		e.newPairs++
		e.pairs = appendString(appendString(e.pairs, name), value)
	}
	return known.n
}

// samples writes those within the retention, and the newest in any case: times as
// differences of differences, values as the bits that differ from the value before, so
// that a regular series of small numbers takes three bytes a sample.
func (e *encoder) samples(out []byte) []byte {
	r := &e.ring
	first := min(r.Search(e.mint), r.Len()-1)
	flags := byte(0)
	if r.Wide() {
		flags |= flagWide
	}
	if r.HasHists() {
		flags |= flagHists
	}
	out = append(out, flags)
	out = binary.AppendUvarint(out, uint64(r.Len()-first)) //nolint:gosec // not negative
	var t, delta int64
	var v uint64
	e.layout = nil
	for i := first; i < r.Len(); i++ {
		next, word, h := r.Raw(i)
		if i == first {
			out = binary.AppendVarint(out, next)
		} else {
			out = binary.AppendVarint(out, next-t-delta)
			delta = next - t
		}
		t = next
		if h != nil {
			out = e.histogram(out, h)
			continue
		}
		if flags&flagHists != 0 {
			out = append(out, sampleFloat)
		}
		if flags&flagWide != 0 {
			out = binary.AppendUvarint(out, bits.ReverseBytes64(word^v))
		} else {
			out = binary.AppendUvarint(out, uint64(bits.ReverseBytes32(uint32(word^v)))) //nolint:gosec // both are 32 bits
		}
		v = word
	}
	return out
}

func (e *encoder) histogram(out []byte, h *histogram.FloatHistogram) []byte {
	same := e.layout != nil && sameLayout(e.layout, h)
	if same {
		out = append(out, sampleSame)
	} else {
		out = append(out, sampleLayout)
		out = binary.AppendVarint(out, int64(h.Schema))
		out = binary.LittleEndian.AppendUint64(out, math.Float64bits(h.ZeroThreshold))
		out = appendSpans(out, h.PositiveSpans)
		out = appendSpans(out, h.NegativeSpans)
		out = binary.AppendUvarint(out, uint64(len(h.CustomValues)))
		for _, v := range h.CustomValues {
			out = appendFloat(out, v)
		}
		e.layout = h
	}
	out = append(out, byte(h.CounterResetHint))
	out = appendFloat(appendFloat(appendFloat(out, h.ZeroCount), h.Count), h.Sum)
	for _, buckets := range [][]float64{h.PositiveBuckets, h.NegativeBuckets} {
		out = binary.AppendUvarint(out, uint64(len(buckets)))
		for _, v := range buckets {
			out = appendFloat(out, v)
		}
	}
	return out
}

func sameLayout(a, b *histogram.FloatHistogram) bool {
	return a.Schema == b.Schema && math.Float64bits(a.ZeroThreshold) == math.Float64bits(b.ZeroThreshold) &&
		slices.Equal(a.PositiveSpans, b.PositiveSpans) && slices.Equal(a.NegativeSpans, b.NegativeSpans) &&
		slices.Equal(a.CustomValues, b.CustomValues)
}

func appendSpans(out []byte, spans []histogram.Span) []byte {
	out = binary.AppendUvarint(out, uint64(len(spans)))
	for _, s := range spans {
		out = binary.AppendUvarint(binary.AppendVarint(out, int64(s.Offset)), uint64(s.Length))
	}
	return out
}

// appendFloat writes few bytes for whole numbers.
func appendFloat(out []byte, v float64) []byte {
	return binary.AppendUvarint(out, bits.ReverseBytes64(math.Float64bits(v)))
}

func appendString(out []byte, s string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(s))), s...)
}

// flush emits the block if it has at least that size.
func (e *encoder) flush(least int) error {
	if len(e.pairs)+len(e.series) < least {
		return nil
	}
	e.block = append(e.block[:0], blockSeries)
	e.block = append(binary.AppendUvarint(e.block, e.newPairs), e.pairs...)
	e.block = append(binary.AppendUvarint(e.block, e.n), e.series...)
	e.pairs, e.series, e.newPairs, e.n = e.pairs[:0], e.series[:0], 0, 0
	return e.emit(e.block)
}

func (e *encoder) describe(families map[string]metadata.Metadata) error {
	if len(families) == 0 {
		return nil
	}
	out := binary.AppendUvarint(append(e.block[:0], blockDescribed), uint64(len(families)))
	for _, family := range slices.Sorted(maps.Keys(families)) {
		m := families[family]
		for _, text := range []string{family, string(m.Type), m.Unit, m.Help} {
			out = appendString(out, text)
		}
	}
	if err := e.emit(out); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	return nil
}
