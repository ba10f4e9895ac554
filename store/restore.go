package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/labelindex"
)

// Restore reads what Snapshot wrote, at the moment taken, into an empty store that is
// not in use yet. next returns one block after the other, then io.EOF; a block is
// Restore's until the next call. After an error the store is empty again.
//
// The time since the snapshot does not count as silence of the series that were live
// then: they arrived so much later. They are late until they are pushed again. Samples keep their own times. But if the
// snapshot was taken in the future, our clock has been set back since, and samples are
// moved with it.
func (s *Store) Restore(taken time.Time, next func() ([]byte, error)) (series int, err error) {
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
		s: s, taken: taken.UnixMilli(),
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
	for _, ser := range r.all {
		if ser.interval > ser.name.interval.Load() && r.was(ser) != Late {
			ser.name.interval.Store(ser.interval) // as a sweep does
		}
	}
	for _, ser := range r.all {
		if r.was(ser) == Live {
			ser.setArrivedLocked(ser.arrivedLocked() + r.away)
		}
	}
}

// was returns the state of the series when the snapshot was taken.
func (r *restorer) was(ser *Series) State {
	ser.restored = false
	defer func() { ser.restored = true }()
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
