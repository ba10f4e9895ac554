package query

import (
	"cmp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/strutil"
)

const (
	maxCompared = 10_000 // values that are compared letter by letter
	maxWord     = 128    // bytes of each
	similarity  = 0.8    // of two values that may be confused, from 0 to 1
)

// nearest returns the values nearest to what a matcher asks for, and whether they
// are near: they contain it, or are contained, or are similar. If none is, it returns
// the first there are.
func nearest(m *labels.Matcher, values []string) (near []string, similar bool) {
	if m.Type != labels.MatchEqual || m.Value == "" {
		return values[:min(len(values), maxNear)], false
	}
	want := strings.ToLower(m.Value)
	to, score := strutil.NewJaroWinklerMatcher(want), map[string]float64{}
	for i, v := range values {
		have := strings.ToLower(v)
		if i < maxCompared && max(len(want), len(have)) <= maxWord {
			score[v] = to.Score(have)
		}
		part := min(len(want), len(have)) >= 3 && (strings.Contains(have, want) || strings.Contains(want, have))
		if part || score[v] >= similarity {
			near = append(near, v)
		}
	}
	if len(near) == 0 {
		return values[:min(len(values), maxNear)], false
	}
	slices.SortStableFunc(near, func(a, b string) int { return cmp.Compare(score[b], score[a]) })
	return near[:min(len(near), maxNear)], true
}
