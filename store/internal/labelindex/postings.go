package labelindex

import (
	"cmp"
	"slices"
)

// Ref is an item's number: ascending in the order in which items were added.
type Ref uint32

// Lists of refs are ascending and contain each ref once. The functions below never
// change them.

// intersect returns the refs that are in all of the lists; there must be at least
// one list. It iterates over the shortest, so that it finds a deployment's ten series
// among a million of one metric in a few dozen steps.
func intersect(lists [][]Ref) []Ref {
	slices.SortFunc(lists, func(a, b []Ref) int { return cmp.Compare(len(a), len(b)) })
	shortest, rest := lists[0], lists[1:]
	if len(rest) == 0 {
		return shortest
	}
	out := make([]Ref, 0, len(shortest))
next:
	for _, r := range shortest {
		for i := range rest {
			if rest[i] = rest[i][seek(rest[i], r):]; len(rest[i]) == 0 {
				return out
			}
			if rest[i][0] != r {
				continue next
			}
		}
		out = append(out, r)
	}
	return out
}

// without returns the refs that are not in drop.
func without(refs, drop []Ref) []Ref {
	out := make([]Ref, 0, len(refs))
	for len(refs) > 0 && len(drop) > 0 {
		if drop = drop[seek(drop, refs[0]):]; len(drop) == 0 {
			break
		}
		stay := seek(refs, drop[0])
		out, refs = append(out, refs[:stay]...), refs[stay:]
		if len(refs) > 0 && refs[0] == drop[0] {
			refs = refs[1:]
		}
	}
	return append(out, refs...)
}

// union returns the refs that are in any of the lists.
func union(lists [][]Ref) []Ref {
	if len(lists) == 1 {
		return lists[0]
	}
	out := slices.Concat(lists...)
	slices.Sort(out)
	return slices.Compact(out)
}

// seek returns the index of the first ref at or after r, or the length. Its cost
// grows with that index, not with the length.
func seek(refs []Ref, r Ref) int {
	lo, hi := 0, 1
	for hi < len(refs) && refs[hi] < r {
		lo, hi = hi, 2*hi
	}
	at, _ := slices.BinarySearch(refs[lo:min(hi, len(refs))], r)
	return lo + at
}
