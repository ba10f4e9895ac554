package labelindex

// Set is the numbers of a series' pairs, in the order of its labels, as uvarints. It
// is valid until the series is removed.
type Set string

// Next returns the first number of a set that is not empty, and the rest.
func (set Set) Next() (uint32, Set) {
	var n uint32
	for i := range len(set) {
		if n |= uint32(set[i]&0x7f) << (7 * i); set[i] < 0x80 {
			return n, set[i+1:]
		}
	}
	panic("labelindex: a label set is truncated")
}

// Len returns the number of pairs.
func (set Set) Len() (n int) {
	for ; len(set) > 0; n++ {
		_, set = set.Next()
	}
	return n
}
