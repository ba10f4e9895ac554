package otlpreceiver

import (
	"context"
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// purgeInterval bounds how long a key outlives its series, and, twice over, how
// long one is kept that no request has used.
const purgeInterval = time.Minute

// key is a hash of bytes as they came over the wire. Its 128 bits and secret
// seeds stand in for comparing the bytes themselves: nobody can look for two
// that collide, and by chance a trillion keys hold such a pair with p < 1e-14.
type key [2]uint64

type hasher struct{ a, b maphash.Seed }

func newHasher() hasher { return hasher{maphash.MakeSeed(), maphash.MakeSeed()} }

func (h *hasher) of(b []byte) key {
	return key{maphash.Bytes(h.a, b), maphash.Bytes(h.b, b)}
}

// and returns the key of two things, in that order. Each is hashed on its own,
// so bytes can't move from one to the other; the odd factor (that of
// splitmix64) keeps equal parts from cancelling out.
func (k key) and(o key) key {
	const odd = 0x9e3779b97f4a7c15
	return key{k[0]*odd + o[0], k[1]*odd + o[1]}
}

const cacheStripes = 64

// cache remembers which series the bytes of a data point stand for, by resource
// so that a request takes one lock for all the points of one. It is bounded:
// what does not fit goes the slow path, and what is in it stays.
//
// Locks: a stripe's, then an origin's.
type cache struct {
	limit   int64
	size    atomic.Int64  // the series of all slots, and the weight of the origins
	age     atomic.Uint32 // purges so far
	stripes [cacheStripes]cacheStripe
}

type cacheStripe struct {
	mu      sync.RWMutex
	origins map[key]*origin
	_       [32]byte // keeps two stripes' locks out of one cache line
}

func newCache(limit int) *cache {
	c := &cache{limit: int64(limit)}
	for i := range c.stripes {
		c.stripes[i].origins = map[key]*origin{}
	}
	return c
}

func (c *cache) stripe(k key) *cacheStripe { return &c.stripes[k[0]%cacheStripes] }

// origin returns the origin for k, or nil. It looks first at what came after the
// origin before, if there is one: requests have their resources in one order.
func (c *cache) origin(k key, before *origin) *origin {
	if before != nil {
		if o := before.next.Load(); o != nil && o.id == k && !o.out.Load() {
			c.touch(o)
			return o
		}
	}
	s := c.stripe(k)
	s.mu.RLock()
	o := s.origins[k]
	s.mu.RUnlock()
	if o != nil {
		c.touch(o)
		if before != nil {
			before.next.Store(o)
		}
	}
	return o
}

// touch writes only what is not there yet: many requests share the line.
func (c *cache) touch(o *origin) {
	if age := c.age.Load(); o.used.Load() != age {
		o.used.Store(age)
	}
}

// putOrigin returns the origin for o's key, which is o unless somebody was faster.
func (c *cache) putOrigin(o *origin) *origin {
	s := c.stripe(o.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if held := s.origins[o.id]; held != nil {
		return held
	}
	o.used.Store(c.age.Load())
	if c.reserve(o.weight()) {
		s.origins[o.id] = o
	} else {
		o.out.Store(true)
	}
	return o
}

// put remembers the series of a number, or all those of a histogram, in place
// of what was there, if there is room.
func (c *cache) put(o *origin, id key, all ...*store.Series) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.out.Load() {
		return
	}
	i := o.find(id, 0)
	if i >= 0 || c.reserve(int64(len(all))) { // the id says how many they are
		o.set(i, id, c.age.Load(), all)
	}
}

// weight counts an origin's labels for what they take, 64 bytes for one series:
// a sender may make up resources that have no points.
func (o *origin) weight() int64 {
	n := 64
	for _, l := range o.labels {
		n += len(l.Name) + len(l.Value)
	}
	return int64(n / 64)
}

func (c *cache) reserve(n int64) bool {
	if c.size.Add(n) > c.limit {
		c.size.Add(-n)
		return false
	}
	return true
}

// run purges the cache until ctx is done.
func (c *cache) run(ctx context.Context) error {
	tick := time.NewTicker(purgeInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.purge()
		}
	}
}

// purge forgets the keys of freed series, and those that nothing has used since
// the purge before the last: a sender that shuffles its attributes leaves many
// to one living series.
func (c *cache) purge() {
	age := c.age.Add(1)
	unused := func(used uint32) bool { return age-used > 1 }
	for i := range c.stripes {
		s := &c.stripes[i]
		s.mu.RLock()
		held := maps.Clone(s.origins)
		s.mu.RUnlock()
		for _, o := range held {
			if c.purgeSlots(o, unused) || !unused(o.used.Load()) {
				continue
			}
			s.mu.Lock()
			c.remove(s, o)
			s.mu.Unlock()
		}
	}
}

// purgeSlots reports whether any slots are left. It looks for dead ones with
// the lock that requests share, as a resource may have very many.
func (c *cache) purgeSlots(o *origin, unused func(uint32) bool) bool {
	var dead []int
	o.mu.RLock()
	for i := range o.slots {
		if o.dead(&o.slots[i], unused) {
			dead = append(dead, i)
		}
	}
	left := len(o.slots) > len(dead)
	o.mu.RUnlock()
	if len(dead) > 0 {
		o.mu.Lock()
		c.size.Add(-o.remove(dead, unused))
		o.mu.Unlock()
	}
	return left
}

// remove takes an origin out of its stripe, which must be locked.
func (c *cache) remove(s *cacheStripe, o *origin) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.slots) > 0 { // there is something new
		return
	}
	o.out.Store(true)
	o.next.Store(nil) // or one that is out could hold on to the next for ever
	delete(s.origins, o.id)
	c.size.Add(-o.weight())
}
