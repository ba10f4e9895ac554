package query

import (
	"math"
	"strconv"

	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// The store holds names as the receiver escapes them; the same escaping makes
// http.server.duration, in whatever form it is written, find its series.
var (
	metricNamer = otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithoutSuffixes)
	labelNamer  = otlptranslator.LabelNamer{}
)

// storedName returns a metric name as the store has it.
func storedName(name string) string {
	if isLegacy(name, true) {
		return name
	}
	if s, err := metricNamer.Build(otlptranslator.Metric{Name: name}); err == nil {
		return s
	}
	return name // can't have been stored either
}

// storedLabel returns a label's name as the store has it.
func storedLabel(name string) string {
	if isLegacy(name, false) {
		return name
	}
	if s, err := labelNamer.Build(name); err == nil {
		return s
	}
	return name
}

func isLegacy(name string, metric bool) bool {
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':' && metric
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// useStoredNames rewrites the names in a query to the store's.
func useStoredNames(expr parser.Expr) {
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch e := n.(type) {
		case *parser.VectorSelector:
			e.Name = storedName(e.Name)
			for i, m := range e.LabelMatchers {
				e.LabelMatchers[i] = storedMatcher(m)
			}
		case *parser.AggregateExpr:
			storedLabels(e.Grouping)
		case *parser.BinaryExpr:
			if e.VectorMatching != nil {
				storedLabels(e.VectorMatching.MatchingLabels)
				storedLabels(e.VectorMatching.Include)
			}
		}
		return nil
	})
}

func storedLabels(names []string) {
	for i, n := range names {
		names[i] = storedLabel(n)
	}
}

func storedMatcher(m *labels.Matcher) *labels.Matcher {
	equality := m.Type == labels.MatchEqual || m.Type == labels.MatchNotEqual
	name, value := storedLabel(m.Name), m.Value
	switch {
	case !equality:
	case name == labels.MetricName:
		value = storedName(value)
	case name == "le" || name == "quantile":
		value = storedBound(value)
	}
	if name == m.Name && value == m.Value {
		return m
	}
	return labels.MustNewMatcher(m.Type, name, value)
}

// storedBound writes a bucket's bound as the receiver does: le="1.0", which is
// what a pod's /metrics page shows, is stored as le="1".
func storedBound(v string) string {
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || math.IsNaN(f) {
		return v
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}
