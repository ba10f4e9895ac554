package query

import (
	"cmp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

const (
	maxCompared = 10_000 // values that are compared letter by letter
	maxWord     = 128    // bytes of each
)

// nearest returns the values nearest to what a matcher asks for, and whether they
// are near: they contain it, or are contained, or differ by few letters. If none
// is, it returns the first there are.
func nearest(m *labels.Matcher, values []string) (near []string, similar bool) {
	type scored struct {
		value string
		score int
	}
	var all []scored
	if m.Type == labels.MatchEqual && m.Value != "" {
		for i, v := range values {
			if score, ok := likeness(m.Value, v, i < maxCompared); ok {
				all = append(all, scored{v, score})
			}
		}
	}
	if len(all) == 0 {
		return values[:min(len(values), maxNear)], false
	}
	slices.SortStableFunc(all, func(a, b scored) int { return cmp.Compare(a.score, b.score) })
	for _, s := range all[:min(len(all), maxNear)] {
		near = append(near, s.value)
	}
	return near, true
}

// likeness tells how far apart two words are, less being nearer; ok is false if
// they have nothing in common.
func likeness(want, have string, letters bool) (score int, ok bool) {
	w, h := strings.ToLower(want), strings.ToLower(have)
	most := max(2, min(len(w), len(h))/3)
	if min(len(w), len(h)) <= 3 {
		most = 1 // all short words are alike
	}
	if letters && len(w) <= maxWord && len(h) <= maxWord {
		if d := distance(w, h, most); d <= most {
			return d, true
		}
	}
	if short := min(len(w), len(h)); short >= 3 && (strings.Contains(h, w) || strings.Contains(w, h)) {
		return maxWord + max(len(w), len(h)) - short, true // the shorter, the nearer
	}
	return 0, false
}

// distance returns how many letters must be added, taken away or replaced to make
// b of a, or any number above most.
func distance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	var rows [2][maxWord + 1]int
	last, next := rows[0][:len(b)+1], rows[1][:len(b)+1]
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		least := next[0]
		for j := range len(b) {
			cost := last[j]
			if a[i] != b[j] {
				cost = 1 + min(last[j], last[j+1], next[j])
			}
			next[j+1] = cost
			least = min(least, cost)
		}
		if least > most {
			return least
		}
		last, next = next, last
	}
	return last[len(b)]
}
