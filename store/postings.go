package store

import (
	"cmp"
	"slices"
)

// ref is a series' number: ascending in the order in which series were made.
type ref uint32

// Lists of refs are ascending, each ref once, and never changed by what follows.

// intersect returns the refs that are in all of the lists, of which there must
// be one. It goes by the shortest, so that a deployment's ten series are found
// among a million of one metric in a few dozen steps.
func intersect(lists [][]ref) []ref {
	slices.SortFunc(lists, func(a, b []ref) int { return cmp.Compare(len(a), len(b)) })
	shortest, rest := lists[0], lists[1:]
	if len(rest) == 0 {
		return shortest
	}
	out := make([]ref, 0, len(shortest))
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

// without returns a list of those of refs that are not in drop.
func without(refs, drop []ref) []ref {
	out := make([]ref, 0, len(refs))
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
func union(lists [][]ref) []ref {
	if len(lists) == 1 {
		return lists[0]
	}
	out := slices.Concat(lists...)
	slices.Sort(out)
	return slices.Compact(out)
}

// seek returns the place of the first ref at or after r, or the length. Its cost
// grows with how far that is, not with the list.
func seek(refs []ref, r ref) int {
	lo, hi := 0, 1
	for hi < len(refs) && refs[hi] < r {
		lo, hi = hi, 2*hi
	}
	at, _ := slices.BinarySearch(refs[lo:min(hi, len(refs))], r)
	return lo + at
}
