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
	score := map[string]int{}
	if m.Type == labels.MatchEqual && m.Value != "" {
		for i, v := range values {
			if s, ok := likeness(m.Value, v, i < maxCompared); ok {
				near, score[v] = append(near, v), s
			}
		}
	}
	if len(near) == 0 {
		return values[:min(len(values), maxNear)], false
	}
	slices.SortStableFunc(near, func(a, b string) int { return cmp.Compare(score[a], score[b]) })
	return near[:min(len(near), maxNear)], true
}

// likeness tells how far apart two words are, less being nearer; ok is false if
// they have nothing in common.
func likeness(want, have string, letters bool) (score int, ok bool) {
	w, h := strings.ToLower(want), strings.ToLower(have)
	short, long := min(len(w), len(h)), max(len(w), len(h))
	most := max(2, short/3)
	if short <= 3 {
		most = 1 // all short words are alike
	}
	if letters && long <= maxWord && long-short <= most {
		if d := distance(w, h, most); d <= most {
			return d, true
		}
	}
	if short >= 3 && (strings.Contains(h, w) || strings.Contains(w, h)) {
		return maxWord + long - short, true // the shorter, the nearer
	}
	return 0, false
}

// distance returns how many letters must be added, removed or replaced to make b of a,
// or any number above most.
func distance(a, b string, most int) int {
	var rowOf [maxWord + 1]int
	row := rowOf[:len(b)+1] // the distances of what is read of a from each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
		if slices.Min(row) > most {
			break
		}
	}
	return row[len(b)]
}
