package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/metadata"
)

// The kinds of a snapshot's blocks, the first byte of each.
const (
	blockSeries    = 's' // new pairs of labels, and series that have these and earlier ones
	blockDescribed = 'd' // what senders say of metrics
)

// snapshotBlock is from what size on, in bytes, a block is full.
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

var errRenumbered = errors.New("series were numbered anew meanwhile")

// Snapshot hands all that the store holds to emit, in blocks for Restore. A block
// is emit's until it returns.
//
// Nobody waits for it: a series is locked for as long as it takes to copy its
// samples, the index for a page of 256 series, nothing while emit runs. So the
// newest samples are some from before and some from after a moment in between.
func (s *Store) Snapshot(emit func(block []byte) error) error {
	e := &encoder{s: s, emit: emit, mint: s.now() - s.opts.Retention.Milliseconds(), newest: s.newest()}
	era := s.refs.now()
	var series []*Series
	for _, at := range s.refs.filled() {
		var ok bool
		if series, ok = s.refs.appendPage(series[:0], at, era); !ok {
			return errRenumbered
		}
		for left := series; len(left) > 0; {
			left = e.page(left)
			if err := e.flush(snapshotBlock); err != nil {
				return err
			}
		}
	}
	if err := e.flush(1); err != nil {
		return err
	}
	return e.describe(s.Metadata(""))
}

func (s *Store) newest() ref {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastRef
}

// encoder writes series. Labels are numbered in the order in which they are met:
// the index' own numbers may have got another meaning since.
type encoder struct {
	s      *Store
	emit   func([]byte) error
	mint   int64
	newest ref // a series that is freed and comes back would be there twice

	numbers []numbered // by the index' numbers
	count   uint32     // pairs so far

	pairs, series []byte // of the block that is being made
	newPairs, n   uint64
	block         []byte

	body   []byte   // of the series that is being written
	words  []uint32 // its samples, copied to be written without its lock
	hists  []*histogram.FloatHistogram
	layout *histogram.FloatHistogram
}

// numbered is a pair's number in the snapshot, from 1 on, and what it stands for.
type numbered struct {
	n           uint32
	name, value string
}

// page writes series until the block is full, and returns those that are left.
func (e *encoder) page(series []*Series) (left []*Series) {
	x := &e.s.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	for i, ser := range series {
		if ser.ref > e.newest {
			break
		}
		if e.one(ser); len(e.series) >= snapshotBlock {
			return series[i+1:]
		}
	}
	return nil
}

// one writes a series, with the index locked.
func (e *encoder) one(ser *Series) {
	ser.mu.Lock()
	if ser.freed || ser.ring.len() == 0 {
		ser.mu.Unlock()
		return
	}
	lag, interval, ahead := ser.lag, ser.interval, ser.ahead
	r := ser.ring
	e.words = append(e.words[:0], r.words...)
	r.words = e.words
	if r.hists != nil {
		e.hists = append(e.hists[:0], *r.hists...)
		r.hists = &e.hists
	}
	ser.mu.Unlock()

	e.n++
	e.series = binary.AppendUvarint(e.series, uint64(ser.set.len())) //nolint:gosec // not negative
	for n, set := uint32(0), ser.set; len(set) > 0; {
		n, set = set.next()
		e.series = binary.AppendUvarint(e.series, uint64(e.number(n)-1))
	}
	body := binary.AppendVarint(e.body[:0], int64(lag))
	body = binary.AppendUvarint(body, uint64(interval))
	body = binary.AppendUvarint(body, uint64(ahead))
	e.body = e.samples(body, &r)
	e.series = append(binary.AppendUvarint(e.series, uint64(len(e.body))), e.body...)
}

// number returns the snapshot's number of a pair, which it writes if it is new.
func (e *encoder) number(n uint32) uint32 {
	if need := int(n) + 1 - len(e.numbers); need > 0 {
		e.numbers = append(e.numbers, make([]numbered, need)...)
	}
	p, known := &e.s.index.pairs[n], &e.numbers[n]
	if known.n == 0 || known.value != p.value || known.name != p.name {
		e.count++
		*known = numbered{e.count, p.name, p.value}
		e.newPairs++
		e.pairs = appendString(appendString(e.pairs, p.name), p.value)
	}
	return known.n
}

// samples writes those within the retention, the newest whatever its time: times
// as differences of differences, values as what differs from the one before, so
// that a regular series of small numbers takes three bytes a sample.
func (e *encoder) samples(out []byte, r *ring) []byte {
	first := min(r.search(e.mint), r.len()-1)
	flags := byte(0)
	if r.isWide() {
		flags |= flagWide
	}
	if r.hists != nil {
		flags |= flagHists
	}
	out = append(out, flags)
	out = binary.AppendUvarint(out, uint64(r.len()-first)) //nolint:gosec // not negative
	var t, delta int64
	var v uint64
	e.layout = nil
	for i := first; i < r.len(); i++ {
		next, word := r.raw(i)
		if i == first {
			out = binary.AppendVarint(out, next)
		} else {
			out = binary.AppendVarint(out, next-t-delta)
			delta = next - t
		}
		t = next
		if flags&flagHists != 0 {
			if h := (*r.hists)[r.pos(i)/r.stride()]; h != nil {
				out = e.histogram(out, h)
				continue
			}
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

// appendFloat is short for whole numbers.
func appendFloat(out []byte, v float64) []byte {
	return binary.AppendUvarint(out, bits.ReverseBytes64(math.Float64bits(v)))
}

func appendString(out []byte, s string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(s))), s...)
}

// flush emits the block if it is of that size.
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
