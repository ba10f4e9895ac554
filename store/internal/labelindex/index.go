// Package labelindex finds items by their labels: labels or matchers in, items out.
// It knows nothing of an item but its Entry.
package labelindex

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
)

// chunk is how many items are read under one lock, so that others, who may want to
// add items, do not wait for a long list.
const chunk = 1024

// Entry is what the index stores in an item.
type Entry struct {
	Set  Set    // of the item's labels; constant
	ref  Ref    // guarded by the index
	hash uint32 // of the labels; constant
}

// Index finds the items that have given labels. It stores each pair of a name and a
// value once, under a number, and an item's labels as the numbers of its pairs: some
// 20 bytes instead of 200 of text.
//
// Reads may run concurrently with anything. The caller must serialize writes (Intern,
// Add, Remove).
type Index[T any] struct {
	entry func(*T) *Entry

	mu    sync.RWMutex // guards what follows; writers also read without it
	pairs []pair       // by number
	spare []uint32     // numbers of pairs that no item has anymore
	names map[string]map[string]uint32
	items table[T] // replaced when the items are renumbered

	// The items by the hash of their labels. One whose hash another one has is under the
	// next number that is free.
	hashes map[uint32]*T
	most   int // items since the map was made

	last Ref // the newest item's
}

type pair struct {
	name, value string
	refs        []Ref // of the items that have it; append-only, or replaced
}

// New returns an empty index of items with these entries.
func New[T any](entry func(*T) *Entry) *Index[T] {
	return &Index[T]{entry: entry, names: map[string]map[string]uint32{}, items: table[T]{}, hashes: map[uint32]*T{}}
}

// Intern returns the entry of an item with these labels, which have that hash. It assigns
// numbers to new pairs.
func (x *Index[T]) Intern(lset labels.Labels, hash uint32) Entry {
	x.mu.Lock()
	defer x.mu.Unlock()
	var buf [64]byte
	set := buf[:0]
	lset.Range(func(l labels.Label) {
		n, ok := x.names[l.Name][l.Value]
		if !ok {
			n = x.addPairLocked(l)
		}
		set = binary.AppendUvarint(set, uint64(n))
	})
	return Entry{Set: Set(set), hash: hash}
}

func (x *Index[T]) addPairLocked(l labels.Label) uint32 {
	// The texts are parts of larger ones, which they would keep in memory.
	l.Name, l.Value = strings.Clone(l.Name), strings.Clone(l.Value)
	values := x.names[l.Name]
	if values == nil {
		values = map[string]uint32{}
		x.names[l.Name] = values
	}
	var n uint32
	if last := len(x.spare) - 1; last >= 0 {
		n, x.spare = x.spare[last], x.spare[:last]
	} else {
		n = uint32(len(x.pairs)) //nolint:gosec // each pair has an item, and those have refs of 32 bits
		x.pairs = append(x.pairs, pair{})
	}
	x.pairs[n] = pair{name: l.Name, value: l.Value}
	values[l.Value] = n
	return n
}

// Add makes an item with an interned entry findable.
func (x *Index[T]) Add(item *T) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.last == math.MaxUint32 {
		x.renumberLocked()
	}
	x.last++
	e := x.entry(item)
	e.ref = x.last
	x.items.put(e.ref, item)
	x.putLocked(item)
	for n, set := uint32(0), e.Set; len(set) > 0; {
		n, set = set.Next()
		x.pairs[n].refs = append(x.pairs[n].refs, e.ref)
	}
}

// Remove removes items. Their sets are invalid afterwards.
func (x *Index[T]) Remove(items []*T) {
	// Only writers change the pairs, so reading them needs no lock. The slow part, new
	// lists without the removed refs, comes before anybody has to wait.
	removed := map[uint32][]Ref{}
	for _, item := range items {
		e := x.entry(item)
		for n, set := uint32(0), e.Set; len(set) > 0; {
			n, set = set.Next()
			removed[n] = append(removed[n], e.ref)
		}
	}
	for n, refs := range removed {
		slices.Sort(refs)
		removed[n] = without(x.pairs[n].refs, refs)
	}
	defer x.shrink()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, item := range items {
		x.items.remove(x.entry(item).ref)
		x.dropLocked(item)
	}
	for n, left := range removed {
		p := &x.pairs[n]
		if p.refs = left; len(left) > 0 {
			continue
		}
		values := x.names[p.name]
		if delete(values, p.value); len(values) == 0 {
			delete(x.names, p.name)
		}
		*p = pair{}
		x.spare = append(x.spare, n)
	}
}

// renumberLocked assigns new refs from 1 on, in the same order: none are left after
// four billion items.
func (x *Index[T]) renumberLocked() {
	before := x.items
	x.items, x.last = table[T]{}, 0
	for _, item := range before.appendItems(nil, before.refs()) {
		x.last++
		x.entry(item).ref = x.last
		x.items.put(x.last, item)
	}
	for n := range x.pairs {
		refs := slices.Clone(x.pairs[n].refs) // readers may have the list
		for i, r := range refs {
			refs[i] = x.entry(before.get(r)).ref
		}
		x.pairs[n].refs = refs
	}
}

// validLocked reports whether an item is in the index, so that its set is valid.
func (x *Index[T]) validLocked(item *T) bool { return x.items.get(x.entry(item).ref) == item }

// Hash returns half of the labels' hash, which is enough: Get compares the labels.
func Hash(lset labels.Labels) uint32 { return uint32(lset.Hash()) } //nolint:gosec // see above

// Get returns the item with exactly these labels, which have that hash, or nil.
func (x *Index[T]) Get(lset labels.Labels, hash uint32) *T {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for ; ; hash++ {
		if item := x.hashes[hash]; item == nil || x.equalLocked(x.entry(item).Set, lset) {
			return item
		}
	}
}

func (x *Index[T]) putLocked(item *T) {
	at := x.entry(item).hash
	for x.hashes[at] != nil {
		at++
	}
	x.hashes[at] = item
	x.most = max(x.most, len(x.hashes))
}

func (x *Index[T]) dropLocked(item *T) {
	at := x.entry(item).hash
	for x.hashes[at] != item {
		at++
	}
	delete(x.hashes, at)
	for at++; x.hashes[at] != nil; at++ { // its own number may be free now
		next := x.hashes[at]
		delete(x.hashes, at)
		x.putLocked(next)
	}
}

// shrink replaces a map that had far more items: deletions do not make it smaller.
// Writers alone change the map, so that reading it needs no lock.
func (x *Index[T]) shrink() {
	if 8*len(x.hashes) >= x.most {
		return
	}
	smaller := make(map[uint32]*T, len(x.hashes))
	maps.Copy(smaller, x.hashes)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.hashes, x.most = smaller, len(smaller)
}

// equalLocked reports whether a set is that of lset.
func (x *Index[T]) equalLocked(set Set, lset labels.Labels) bool {
	same := true
	lset.Range(func(l labels.Label) {
		if same = same && len(set) > 0; same {
			var n uint32
			n, set = set.Next()
			p := &x.pairs[n]
			same = p.value == l.Value && p.name == l.Name
		}
	})
	return same && len(set) == 0
}

// Labels returns an item's labels; ok is false if it was removed.
func (x *Index[T]) Labels(item *T, b *labels.ScratchBuilder) (lset labels.Labels, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if !x.validLocked(item) {
		return lset, false
	}
	b.Reset()
	for n, set := uint32(0), x.entry(item).Set; len(set) > 0; {
		n, set = set.Next()
		b.Add(x.pairs[n].name, x.pairs[n].value)
	}
	return b.Labels(), true
}

// Label returns the value of an item's label, or "" if it has none or was removed.
func (x *Index[T]) Label(item *T, name string) string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if !x.validLocked(item) {
		return ""
	}
	return x.labelLocked(x.entry(item).Set, name)
}

func (x *Index[T]) labelLocked(set Set, name string) string {
	for n := uint32(0); len(set) > 0; {
		n, set = set.Next()
		if p := &x.pairs[n]; p.name == name {
			return p.value
		}
	}
	return ""
}

// EachPair calls f for every pair that an item has.
func (x *Index[T]) EachPair(f func(name, value string)) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for n := range x.pairs {
		if p := &x.pairs[n]; len(p.refs) > 0 {
			f(p.name, p.value)
		}
	}
}

// EachPairOf calls f for the pairs of each of the items that were not removed.
func (x *Index[T]) EachPairOf(items []*T, f func(name, value string)) {
	for some := range slices.Chunk(items, chunk) {
		x.mu.RLock()
		for _, item := range some {
			if !x.validLocked(item) {
				continue
			}
			for n, set := uint32(0), x.entry(item).Set; len(set) > 0; {
				n, set = set.Next()
				f(x.pairs[n].name, x.pairs[n].value)
			}
		}
		x.mu.RUnlock()
	}
}
