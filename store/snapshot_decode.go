package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/labelindex"
	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

var (
	// ErrSnapshot is wrapped by the errors about a snapshot that can't be read.
	ErrSnapshot = errors.New("damaged snapshot")
	// ErrOldSnapshot says that a snapshot is older than the retention.
	ErrOldSnapshot = errors.New("the snapshot is older than the retention")
)

// maxTime bounds the times of samples, in ms, far from where they overflow.
const maxTime = 1 << 50

// Restore reads what Snapshot wrote, at the moment taken, into an empty store that is
// not in use yet. next returns one block after the other, then io.EOF; a block is
// Restore's until the next call. After an error the store is empty again.
//
// The time since the snapshot does not count as silence: every series arrived so much
// later, and those that were live stay live for the patience at least, in which their
// senders reconnect. Samples keep their own times. But if the snapshot was taken in the
// future, our clock has been set back since, and samples are moved with it.
func (s *Store) Restore(taken time.Time, patience time.Duration, next func() ([]byte, error)) (series int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count > 0 {
		return 0, errors.New("restoring into a store that is not empty")
	}
	s.index.Clear() // pairs that were freed have numbers
	now := s.now()
	if age := now - taken.UnixMilli(); age > s.opts.Retention.Milliseconds() {
		return 0, fmt.Errorf("%w: it was taken %s ago, and samples are kept for %s", ErrOldSnapshot, time.Duration(age)*time.Millisecond, s.opts.Retention)
	}
	r := restorer{
		s: s, taken: taken.UnixMilli(), until: now + patience.Milliseconds(),
		shift: min(now-taken.UnixMilli(), 0), away: max(now-taken.UnixMilli(), 0),
	}
	if err := r.blocks(next); err != nil {
		s.clearLocked()
		return 0, err
	}
	r.arrive()
	s.metrics.created.Add(float64(s.count))
	return s.count, nil
}

// clearLocked empties a store that is not in use yet.
func (s *Store) clearLocked() {
	s.index.Clear()
	for i := range s.stripes {
		s.stripes[i].slots, s.stripes[i].count = nil, 0
	}
	s.described.families = map[string]metadata.Metadata{}
	s.names = map[string]*metricName{}
	s.count = 0
}

// restorer reads blocks into a store that is locked and empty, so that a pair's number
// in the index is its number in the snapshot.
//
// A million series take a second, and the start uses more than one core, so two
// goroutines share the work: one makes series findable, the other reads their samples
// one block later.
type restorer struct {
	s     *Store
	taken int64 // ms
	shift int64 // by which samples are moved, in ms
	away  int64 // by which arrivals are, besides
	until int64 // to when live series are so, in ms

	all     []*Series
	pairs   labelindex.Pairs
	set     []byte
	builder labels.ScratchBuilder
	lset    labels.Labels // overwritten by each series
	behind  *batch        // of the block that is being read
}

// batch is the series of a block whose samples are not read yet.
type batch struct {
	block  []byte
	series []*Series
	bodies [][]byte // parts of the block
}

func (r *restorer) blocks(next func() ([]byte, error)) error {
	full, empty := make(chan *batch), make(chan *batch, 2)
	empty <- &batch{}
	empty <- &batch{}
	behind := make(chan error, 1)
	go func() {
		var failed error
		for b := range full {
			if failed == nil {
				failed = r.samples(b)
			}
			empty <- b
		}
		behind <- failed
	}()
	failed := r.ahead(next, full, empty)
	close(full)
	if err := errors.Join(failed, <-behind); err != nil {
		return err
	}
	return r.used()
}

// ahead reads the labels in blocks, and passes the samples on.
func (r *restorer) ahead(next func() ([]byte, error), full, empty chan *batch) error {
	for {
		block, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r.behind = <-empty
		r.behind.block = append(r.behind.block[:0], block...)
		r.behind.series, r.behind.bodies = r.behind.series[:0], r.behind.bodies[:0]
		d := &decoder{b: r.behind.block}
		switch kind := d.byte(); kind {
		case blockSeries:
			err = r.block(d)
		case blockDescribed:
			err = r.described(d)
		default:
			err = fmt.Errorf("%w: a block is of the unknown kind %d", ErrSnapshot, kind)
		}
		if err == nil {
			err = d.done()
		}
		if err != nil {
			return err
		}
		full <- r.behind
	}
}

// used checks that every pair has a series, with which it is removed.
func (r *restorer) used() error {
	if l, ok := r.s.index.Unused(); ok {
		return fmt.Errorf("%w: no series has the label %s=%q", ErrSnapshot, l.Name, l.Value)
	}
	return nil
}

func (r *restorer) block(d *decoder) error {
	for range d.length(2, "the number of labels") {
		l := labels.Label{Name: string(d.text()), Value: string(d.text())}
		if l.Name == "" || l.Value == "" {
			d.fail("a label has no name or no value")
			break
		}
		if !r.s.index.AddPair(l) {
			d.fail("a label is there twice")
			break
		}
	}
	r.s.index.View(func(pairs labelindex.Pairs) { r.pairs = pairs })
	for range d.length(8, "the number of series") {
		name, body := r.labels(d), d.text()
		if d.fault != "" {
			break
		}
		if err := r.put(name, body); err != nil {
			return err
		}
	}
	return d.err()
}

// samples reads the samples of a batch.
func (r *restorer) samples(b *batch) error {
	for i, ser := range b.series {
		d := &decoder{b: b.bodies[i]}
		ser.lag = int32(min(max(d.varint(), math.MinInt32), math.MaxInt32)) //nolint:gosec // bounded right here
		ser.interval, ser.ahead = d.uint32("an interval"), d.uint32("how far a sample was ahead")
		ser.ring = d.samples(r.shift, r.s.opts.MaxSamplesPerSeries)
		if err := d.done(); err != nil {
			return err
		}
	}
	return nil
}

// labels reads a series' labels into the set and the label set, and returns its
// name.
func (r *restorer) labels(d *decoder) (name string) {
	r.set = r.set[:0]
	r.builder.Reset()
	last := ""
	for range d.length(1, "the number of a series' labels") {
		n := d.uint32("a label")
		label, value, ok := r.pairs.At(n)
		if !ok {
			d.fail("a series has an unknown label")
			return ""
		}
		if label <= last {
			d.fail("a series' labels are not in order")
			return ""
		}
		if last = label; last == labels.MetricName {
			name = value
		}
		r.set = binary.AppendUvarint(r.set, uint64(n))
		r.builder.Add(label, value)
	}
	if name == "" {
		d.fail("a series has no name")
	}
	r.builder.Overwrite(&r.lset)
	return name
}

// put adds a series. The snapshot contains each series once.
func (r *restorer) put(name string, body []byte) error {
	s := r.s
	if s.count >= s.opts.MaxSeries {
		return fmt.Errorf("%w: the snapshot holds more than %d series", ErrSeriesLimit, s.count)
	}
	mn := s.nameLocked(name)
	if int(mn.series.Load()) >= s.opts.MaxSeriesPerMetric {
		return fmt.Errorf("%w: the snapshot holds more than %d series of %s", ErrMetricLimit, mn.series.Load(), name)
	}
	ser := &Series{name: mn, entry: labelindex.Entry{Set: labelindex.Set(r.set), Hash: hashOf(r.lset)}, restored: true}
	s.putLocked(ser)
	r.all = append(r.all, ser)
	r.behind.series, r.behind.bodies = append(r.behind.series, ser), append(r.behind.bodies, body)
	return nil
}

// arrive moves the arrivals of the newest samples.
func (r *restorer) arrive() {
	lookback := r.s.opts.Lookback.Milliseconds()
	for _, ser := range r.all {
		if ser.interval > ser.name.interval.Load() && r.was(ser) != Gone {
			ser.name.interval.Store(ser.interval) // as a sweep does
		}
	}
	for _, ser := range r.all {
		at := ser.arrivedLocked() + r.away
		if r.was(ser) == Live {
			at = max(at, r.until-ser.patienceLocked(lookback))
		}
		ser.setArrivedLocked(at)
	}
}

// was returns the state of the series when the snapshot was taken.
func (r *restorer) was(ser *Series) State {
	return ser.stateLocked(r.taken+r.shift, r.s.opts.Lookback.Milliseconds())
}

func (r *restorer) described(d *decoder) error {
	for range d.length(4, "the number of metrics") {
		family := string(d.text())
		m := metadata.Metadata{Type: model.MetricType(d.text())}
		m.Unit, m.Help = cut(string(d.text()), maxUnit), cut(string(d.text()), maxHelp)
		all := r.s.described.families
		if d.fault == "" && len(all) < maxDescribed && r.s.hasFamilyLocked(family, m.Type) {
			all[family] = m
		}
	}
	return d.err()
}

// decoder reads a block of a snapshot. After the first fault all its results are zero.
// The size of the block bounds what it allocates.
type decoder struct {
	b     []byte
	fault string
}

func (d *decoder) fail(fault string) {
	if d.fault == "" {
		d.b, d.fault = nil, fault
	}
}

func (d *decoder) err() error {
	if d.fault == "" {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrSnapshot, d.fault)
}

// done is err, and an error if anything is left.
func (d *decoder) done() error {
	if len(d.b) > 0 {
		d.fail("more is there than what it says")
	}
	return d.err()
}

func (d *decoder) uvarint() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 { // most of them
		v := d.b[0]
		d.b = d.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("a number is cut off")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1) //nolint:gosec // zigzag, as binary.Varint reads it
}

// within reads a number that must not be above most.
func (d *decoder) within(most uint64, what string) uint64 {
	v := d.uvarint()
	if v > most {
		d.fail(what + " is out of its bounds")
		return 0
	}
	return v
}

func (d *decoder) uint32(what string) uint32 { return uint32(d.within(math.MaxUint32, what)) } //nolint:gosec // bounded

// length reads how many things follow; each takes at least so many bytes.
func (d *decoder) length(each int, what string) int {
	return int(d.within(uint64(len(d.b)/each), what)) //nolint:gosec // at most len(d.b)
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.b) {
		d.fail("a text is cut off")
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) text() []byte { return d.bytes(d.length(1, "a text's length")) }

func (d *decoder) float() float64 {
	return math.Float64frombits(bits.ReverseBytes64(d.uvarint()))
}

func (d *decoder) floats(what string) []float64 {
	n := d.length(1, what)
	if n == 0 {
		return nil
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = d.float()
	}
	return out
}

// samples reads a ring, and moves all times by shift. Of more than limit samples it
// stores the newest.
func (d *decoder) samples(shift int64, limit int) (r ring.Ring) {
	flags := d.byte()
	if flags&^(flagWide|flagHists) != 0 {
		d.fail("a series has unknown flags")
	}
	wide := flags&flagWide != 0
	n := d.length(2, "the number of samples")
	if n == 0 {
		d.fail("a series has no samples")
		return ring.Ring{}
	}
	var layout *histogram.FloatHistogram
	var t, delta int64
	var v uint64
	for i := range n {
		if i == 0 {
			if t = d.varint() + shift; t < -maxTime || t > maxTime {
				d.fail("a sample's time is out of its bounds")
			}
			r = ring.Restored(t, min(n, limit), limit, wide)
		} else {
			delta += d.varint()
			if t += delta; delta <= 0 || !r.Reaches(t) {
				d.fail("samples are not in the order of their times")
			}
		}
		if d.fault != "" {
			return ring.Ring{}
		}
		var h *histogram.FloatHistogram
		word := uint64(0)
		switch {
		case flags&flagHists != 0 && d.histogram(&h, &layout):
		case wide:
			v ^= bits.ReverseBytes64(d.uvarint())
			word = v
		default:
			v ^= uint64(bits.ReverseBytes32(d.uint32("a value")))
			word = v
		}
		if i >= n-limit {
			r.PushRaw(t, word, h)
		}
	}
	return r
}

// histogram reads a sample, and reports whether it is a histogram.
func (d *decoder) histogram(out, layout **histogram.FloatHistogram) bool {
	kind := d.byte()
	h := &histogram.FloatHistogram{}
	switch kind {
	case sampleFloat:
		return false
	case sampleLayout:
		h.Schema = int32(d.varint()) //nolint:gosec // checked next
		if !histogram.IsKnownSchema(h.Schema) {
			d.fail("a histogram's schema is unknown")
		}
		if b := d.bytes(8); b != nil {
			h.ZeroThreshold = math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
		h.PositiveSpans, h.NegativeSpans = d.spans(), d.spans()
		h.CustomValues = d.floats("the number of a histogram's bounds")
		*layout = h
	case sampleSame:
		l := *layout
		if l == nil {
			d.fail("a histogram is like one that is not there")
			return true
		}
		h.Schema, h.ZeroThreshold, h.CustomValues = l.Schema, l.ZeroThreshold, l.CustomValues
		h.PositiveSpans, h.NegativeSpans = l.PositiveSpans, l.NegativeSpans
	default:
		d.fail("a sample is of an unknown kind")
		return true
	}
	h.CounterResetHint = histogram.CounterResetHint(d.byte())
	h.ZeroCount, h.Count, h.Sum = d.float(), d.float(), d.float()
	h.PositiveBuckets = d.floats("the number of a histogram's buckets")
	h.NegativeBuckets = d.floats("the number of a histogram's buckets")
	if h.CounterResetHint > histogram.GaugeType {
		d.fail("a histogram's hint is unknown")
	}
	if err := h.Validate(); err != nil { // or a later one may panic when it is compared
		d.fail("a histogram is invalid: " + err.Error())
	}
	*out = h
	return true
}

func (d *decoder) spans() []histogram.Span {
	n := d.length(2, "the number of a histogram's spans")
	if n == 0 {
		return nil
	}
	out := make([]histogram.Span, n)
	for i := range out {
		offset := d.varint()
		if offset > math.MaxInt32 || offset < math.MinInt32 || i > 0 && offset < 0 {
			d.fail("a histogram's span is out of its bounds")
		}
		out[i] = histogram.Span{Offset: int32(offset), Length: d.uint32("the length of a histogram's span")} //nolint:gosec // bounded
	}
	return out
}
