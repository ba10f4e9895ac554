package store

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
)

// index knows which series have which label. Each pair of a name and a value is
// kept once, under a number, however many series have it, and a series' labels
// are the numbers of its pairs: some 20 bytes instead of 200 of text.
//
// It is written with Store.mu held.
type index struct {
	mu    sync.RWMutex // guards what follows
	pairs []pair       // by number
	spare []uint32     // numbers of pairs that no series has any more
	names map[string]map[string]uint32
}

type pair struct {
	name, value string
	refs        []ref // of the series that have it; what was seen of it is never changed
}

// labelSet is the numbers of a series' pairs, in the order of its labels, as
// uvarints. It means something only while its series has not been freed.
type labelSet string

// next returns the first number of a set that is not empty, and the rest.
func (set labelSet) next() (uint32, labelSet) {
	var n uint32
	for i := range len(set) {
		if n |= uint32(set[i]&0x7f) << (7 * i); set[i] < 0x80 {
			return n, set[i+1:]
		}
	}
	panic("store: a label set is cut short")
}

func (set labelSet) len() (n int) {
	for ; len(set) > 0; n++ {
		_, set = set.next()
	}
	return n
}

// intern returns the set of labels, with numbers for pairs that are new.
func (x *index) intern(lset labels.Labels) labelSet {
	x.mu.Lock()
	defer x.mu.Unlock()
	var buf [64]byte
	set := buf[:0]
	lset.Range(func(l labels.Label) { set = binary.AppendUvarint(set, uint64(x.numberLocked(l))) })
	return labelSet(set)
}

func (x *index) numberLocked(l labels.Label) uint32 {
	values := x.names[l.Name]
	if n, ok := values[l.Value]; ok {
		return n
	}
	// The label's text is a part of its series', which would stay with it.
	l.Name, l.Value = strings.Clone(l.Name), strings.Clone(l.Value)
	if values == nil {
		values = map[string]uint32{}
		x.names[l.Name] = values
	}
	var n uint32
	if last := len(x.spare) - 1; last >= 0 {
		n, x.spare = x.spare[last], x.spare[:last]
	} else {
		n = uint32(len(x.pairs)) //nolint:gosec // each pair has a series, and those have refs of 32 bits
		x.pairs = append(x.pairs, pair{})
	}
	x.pairs[n] = pair{name: l.Name, value: l.Value}
	values[l.Value] = n
	return n
}

// add makes a series, newer than all there are, findable by its labels.
func (x *index) add(set labelSet, r ref) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for n := uint32(0); len(set) > 0; {
		n, set = set.next()
		p := &x.pairs[n]
		p.refs = append(p.refs, r)
	}
}

// remove takes series out. Their sets mean nothing afterwards.
func (x *index) remove(freed []*Series) {
	// Nobody else writes, so reading needs no lock; and what takes long, new
	// lists without the freed refs, is done before anybody has to wait.
	gone := map[uint32][]ref{}
	for _, ser := range freed {
		for n, set := uint32(0), ser.set; len(set) > 0; {
			n, set = set.next()
			gone[n] = append(gone[n], ser.ref)
		}
	}
	for n, refs := range gone {
		slices.Sort(refs)
		gone[n] = without(x.pairs[n].refs, refs)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for n, left := range gone {
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

// eachLocked calls f for each pair of a set until f returns false.
func (x *index) eachLocked(set labelSet, f func(*pair) bool) {
	for n := uint32(0); len(set) > 0; {
		if n, set = set.next(); !f(&x.pairs[n]) {
			return
		}
	}
}

// each calls f for every pair that a series has.
func (x *index) each(f func(*pair)) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for n := range x.pairs {
		if len(x.pairs[n].refs) > 0 {
			f(&x.pairs[n])
		}
	}
}

// eachOf calls f for the pairs of each of the series.
func (x *index) eachOf(series []*Series, f func(*pair)) {
	for chunk := range slices.Chunk(series, chunkSize) {
		x.mu.RLock()
		for _, ser := range chunk {
			if !ser.Freed() {
				x.eachLocked(ser.set, func(p *pair) bool { f(p); return true })
			}
		}
		x.mu.RUnlock()
	}
}

// equal tells whether a set is that of lset. Its series must not be freed
// meanwhile.
func (x *index) equal(set labelSet, lset labels.Labels) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	same := true
	lset.Range(func(l labels.Label) {
		if same = same && len(set) > 0; same {
			var n uint32
			n, set = set.next()
			p := &x.pairs[n]
			same = p.value == l.Value && p.name == l.Name
		}
	})
	return same && len(set) == 0
}

// labels returns a series' labels; ok is false if it was freed, as its set means
// nothing then.
func (x *index) labels(ser *Series, b *labels.ScratchBuilder) (lset labels.Labels, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if ser.Freed() {
		return lset, false
	}
	b.Reset()
	x.eachLocked(ser.set, func(p *pair) bool {
		b.Add(p.name, p.value)
		return true
	})
	return b.Labels(), true
}

// renumberLocked replaces each list's refs. The order stays.
func (x *index) renumberLocked(to func(ref) ref) {
	for n := range x.pairs {
		refs := slices.Clone(x.pairs[n].refs)
		for i, r := range refs {
			refs[i] = to(r)
		}
		x.pairs[n].refs = refs
	}
}
