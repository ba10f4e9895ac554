package query

import (
	"errors"
	"math"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/naming"
)

// The store holds names as package naming makes them. Looked up the same way,
// http.server.duration finds its series in whatever form it is written.

// storedName returns a metric name as the store has it. A name of which the
// escaping leaves nothing can't have been stored.
func storedName(name string) (string, error) {
	if isLegacy(name, true) {
		return name, nil
	}
	return naming.Metric(name)
}

// storedLabel returns a label's name as the store has it.
func storedLabel(name string) (string, error) {
	if isLegacy(name, false) {
		return name, nil
	}
	return naming.Label(name)
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
func useStoredNames(expr parser.Expr) error {
	var err error
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch e := n.(type) {
		case *parser.VectorSelector:
			err = errors.Join(err, storedSelector(e))
		case *parser.AggregateExpr:
			err = errors.Join(err, storedLabels(e.Grouping))
		case *parser.BinaryExpr:
			if e.VectorMatching != nil {
				err = errors.Join(err, storedLabels(e.VectorMatching.MatchingLabels), storedLabels(e.VectorMatching.Include))
			}
		}
		return nil
	})
	if err != nil {
		return badf("a name in the query can't be the name of anything stored: %w", err)
	}
	return nil
}

func storedSelector(vs *parser.VectorSelector) error {
	vs.Name = ""
	named := 0
	for i, m := range vs.LabelMatchers {
		m, err := storedMatcher(m)
		if err != nil {
			return err
		}
		vs.LabelMatchers[i] = m
		if m.Name == labels.MetricName {
			named++
			if m.Type == labels.MatchEqual {
				vs.Name = m.Value
			}
		}
	}
	if named > 1 {
		vs.Name = "" // the printer would leave one of them out
	}
	return nil
}

func storedLabels(names []string) error {
	for i, n := range names {
		stored, err := storedLabel(n)
		if err != nil {
			return err
		}
		names[i] = stored
	}
	return nil
}

func storedMatcher(m *labels.Matcher) (*labels.Matcher, error) {
	equality := m.Type == labels.MatchEqual || m.Type == labels.MatchNotEqual
	value := m.Value
	name, err := storedLabel(m.Name)
	switch {
	case err != nil || !equality:
	case name == labels.MetricName && value != "":
		value, err = storedName(value)
	case name == "le" || name == "quantile":
		value = storedBound(value)
	}
	if err != nil || name == m.Name && value == m.Value {
		return m, err
	}
	return labels.NewMatcher(m.Type, name, value)
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
