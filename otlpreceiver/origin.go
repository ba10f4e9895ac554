package otlpreceiver

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// origin is what the bytes of one resource stand for, and those of its points.
//
// Its points stand in the order they first came in, for nearly every sender
// sends them in the same order again: then the next one is found where the last
// one was, side by side in memory, and nothing is looked up.
type origin struct {
	id      key
	labels  []labels.Label // that its points take from it
	sender  uint64         // for the store
	without dropped        // of its attributes, which every request reports
	points  int            // of its first request
	used    atomic.Uint32  // the cache's age when it was last hit
	// next is what came after it in a request, and most likely will again. It may
	// have left the cache.
	next atomic.Pointer[origin]
	out  atomic.Bool // not in the cache, or no longer: nobody will find its points

	mu         sync.RWMutex // guards what follows
	slots      []slot
	index      []uint32          // one more than a slot's place, by its id; nil if there are few
	histograms [][]*store.Series // each is not changed once it is here
}

// slot is what the bytes of a data point's identity stand for. With its share of
// the index it is most of what a series costs in the cache.
type slot struct {
	id key
	// series is a number's, or the first of a histogram's.
	series *store.Series
	used   uint32 // atomic: the cache's age when it was last hit
	// histogram is one more than the place of a histogram's series, all of them:
	// its buckets, count, and sum if it has one.
	histogram uint32
}

const (
	// mostScanned is how many slots are looked through one by one, 1 KiB in all:
	// that takes no longer than an index would, and needs no memory.
	mostScanned = 32
)

// find returns the place of id, or -1. It looks at next first.
func (o *origin) find(id key, next int) int {
	if uint(next) < uint(len(o.slots)) && o.slots[next].id == id {
		return next
	}
	return o.search(id, next)
}

func (o *origin) search(id key, next int) int {
	if o.index != nil {
		return o.lookUp(id)
	}
	// What is not where it was is mostly not far.
	for i := next; i < len(o.slots); i++ {
		if o.slots[i].id == id {
			return i
		}
	}
	for i := range min(next, len(o.slots)) {
		if o.slots[i].id == id {
			return i
		}
	}
	return -1
}

// The index is open addressing with linear probing, at most three quarters full.
// The hash is secret, so nobody can make it probe for long.

func (o *origin) lookUp(id key) int {
	mask := uint64(len(o.index) - 1) //nolint:gosec // a power of two
	for h := id[0] & mask; o.index[h] != 0; h = (h + 1) & mask {
		if i := int(o.index[h] - 1); o.slots[i].id == id {
			return i
		}
	}
	return -1
}

func (o *origin) enter(i int) {
	mask := uint64(len(o.index) - 1) //nolint:gosec // a power of two
	h := o.slots[i].id[0] & mask
	for o.index[h] != 0 {
		h = (h + 1) & mask
	}
	o.index[h] = uint32(i + 1) //nolint:gosec // memory ends before
}

// reindex makes the index anew, with room for a third as many slots again.
func (o *origin) reindex() {
	o.index = nil
	if len(o.slots) <= mostScanned {
		return
	}
	size := 2 * mostScanned
	for 3*size/4 <= len(o.slots) {
		size *= 2
	}
	o.index = make([]uint32, size)
	for i := range o.slots {
		o.enter(i)
	}
}

// set puts the series of a number, or the many of a histogram, in at i, or, if i
// is -1, after the others.
func (o *origin) set(i int, id key, age uint32, all []*store.Series) {
	if i < 0 {
		i = len(o.slots)
		o.grow()
		o.slots = append(o.slots, slot{id: id})
		if len(o.slots) > max(mostScanned, 3*len(o.index)/4) {
			o.reindex()
		} else if o.index != nil {
			o.enter(i)
		}
	}
	s := &o.slots[i]
	s.series, s.used = all[0], age
	if len(all) == 1 {
		return
	}
	if s.histogram == 0 {
		o.histograms = append(o.histograms, nil)
		s.histogram = uint32(len(o.histograms)) //nolint:gosec // memory ends before
	}
	o.histograms[s.histogram-1] = all
}

// grow makes room for one more slot: for those of the first request, which are
// mostly all there will be, and then by a quarter, where append would double.
func (o *origin) grow() {
	n := len(o.slots)
	if n < cap(o.slots) {
		return
	}
	room := n + max(n/4, 4)
	if n == 0 {
		room = min(max(o.points, 1), mostScanned) // some may never be put in
	}
	grown := make([]slot, n, room)
	copy(grown, o.slots)
	o.slots = grown
}

// series returns all series of a slot; one has room for a number's.
func (o *origin) series(s *slot, one *[1]*store.Series) []*store.Series {
	if s.histogram > 0 {
		return o.histograms[s.histogram-1]
	}
	one[0] = s.series
	return one[:]
}

// dead tells whether a slot is of no use: nobody used it, or a series is freed.
func (o *origin) dead(s *slot, unused func(uint32) bool) bool {
	if unused(atomic.LoadUint32(&s.used)) {
		return true
	}
	var one [1]*store.Series
	for _, ser := range o.series(s, &one) {
		if ser.Freed() {
			return true
		}
	}
	return false
}

// remove takes out what is still dead of the slots at these ascending places,
// and returns what they took of the cache's limit. The others keep their order.
func (o *origin) remove(places []int, unused func(uint32) bool) (weight int64) {
	kept := make([]slot, 0, len(o.slots)-len(places))
	var histograms [][]*store.Series
	for i := range o.slots {
		s := &o.slots[i]
		if len(places) > 0 && places[0] == i {
			places = places[1:]
			if o.dead(s, unused) {
				var one [1]*store.Series
				weight += int64(len(o.series(s, &one)))
				continue
			}
		}
		if s.histogram > 0 {
			histograms = append(histograms, o.histograms[s.histogram-1])
			s.histogram = uint32(len(histograms)) //nolint:gosec // memory ends before
		}
		kept = append(kept, *s)
	}
	o.slots, o.histograms = kept, histograms
	o.reindex()
	return weight
}

// touch writes only what is not there yet: many requests share the line.
func (s *slot) touch(age uint32) {
	if atomic.LoadUint32(&s.used) != age {
		atomic.StoreUint32(&s.used, age)
	}
}
