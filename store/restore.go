package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/labelindex"
)

// Restore reads what Snapshot wrote, at the moment taken, into an empty store that is
// not in use yet. next returns one block after the other, then io.EOF; a block is
// Restore's until the next call. After an error the store is empty again.
//
// The time since the snapshot is no sender's silence: all samples and markers arrived so
// much later. Series are late until they are pushed again. Samples keep their own times.
// But if the snapshot was taken in the future, our clock has been set back since, and
// samples are moved with it.
func (s *Store) Restore(taken time.Time, next func() ([]byte, error)) (series int, err error) {
	if s.SeriesCount() > 0 {
		return 0, errors.New("restoring into a store that is not empty")
	}
	now := s.now()
	away := now - taken.UnixMilli()
	if away > s.opts.Retention.Milliseconds() {
		return 0, fmt.Errorf("%w: it was taken %s ago, and samples are kept for %s", ErrOldSnapshot, time.Duration(away)*time.Millisecond, s.opts.Retention)
	}
	r := restorer{s: s, shift: min(away, 0)}
	for {
		block, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = r.block(block)
		}
		if err != nil {
			s.Reset()
			return 0, err
		}
	}
	r.arrive(min(taken.UnixMilli(), now), max(away, 0))
	return len(r.all), nil
}

// restorer reads blocks into a store.
type restorer struct {
	s     *Store
	shift int64 // by which samples are moved, in ms
	all   []*Series

	// Of the block that is being read.
	labels  []labels.Label // by number, from 1 on
	builder labels.ScratchBuilder
	lset    labels.Labels // overwritten by each series
}

func (r *restorer) block(block []byte) error {
	d := newDecoder(block)
	switch kind := d.Byte(); {
	case d.E != nil:
		return d.done()
	case kind == blockSeries:
		return r.series(d)
	case kind == blockDescribed:
		families := map[string]metadata.Metadata{}
		if err := json.Unmarshal(d.B, &families); err != nil {
			return fmt.Errorf("%w: %w", ErrSnapshot, err)
		}
		for family, m := range families {
			r.s.describe(family, m)
		}
		return nil
	default:
		return fmt.Errorf("%w: a block is of the unknown kind %d", ErrSnapshot, kind)
	}
}

// series reads a block.
func (r *restorer) series(d *decoder) error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.labels = r.labels[:0]
	for d.more() {
		lset, body := d.text(), d.text()
		if len(body) < leastBody {
			d.fail("a series is cut off")
			break
		}
		if err := r.readLabels(newDecoder(lset)); err != nil {
			return err
		}
		ser := &Series{restored: true}
		if err := ser.body(body, r.shift, r.s.opts.MaxSamplesPerSeries); err != nil {
			return err
		}
		hash := labelindex.Hash(r.lset)
		if r.s.index.Get(r.lset, hash) != nil {
			return fmt.Errorf("%w: a series is there twice", ErrSnapshot)
		}
		if err := r.s.addLocked(ser, r.lset, hash); err != nil {
			return fmt.Errorf("the snapshot has more series: %w", err)
		}
		r.all = append(r.all, ser)
	}
	return d.done()
}

// readLabels reads the labels of a series.
func (r *restorer) readLabels(d *decoder) error {
	r.builder.Reset()
	last, named := "", false
	for d.more() {
		n := d.Uvarint64()
		if n == 0 {
			r.labels = append(r.labels, labels.Label{Name: string(d.text()), Value: string(d.text())})
			n = uint64(len(r.labels))
		}
		if n > uint64(len(r.labels)) {
			d.fail("a series has an unknown label")
			break
		}
		l := r.labels[n-1]
		if l.Name <= last || l.Value == "" {
			d.fail("a series' labels are not in order, or one has no name or no value")
		}
		last, named = l.Name, named || l.Name == labels.MetricName
		r.builder.Add(l.Name, l.Value)
	}
	if !named {
		d.fail("a series has no name")
	}
	r.builder.Overwrite(&r.lset)
	return d.done()
}

// arrive moves all arrivals, and learns the push interval of each metric, as a sweep does.
func (r *restorer) arrive(taken, away int64) {
	for _, ser := range r.all {
		ser.restored = false // it is late only from now on
		if was := ser.stateLocked(taken, r.s.opts.Lookback.Milliseconds()); was != Late && ser.interval > ser.name.interval.Load() {
			ser.name.interval.Store(ser.interval)
		}
		ser.restored = true
		ser.setArrivedLocked(ser.arrivedLocked() + away)
	}
}
