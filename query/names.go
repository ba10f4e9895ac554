package query

import (
	"errors"
	"math"
	"strconv"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/naming"
)

// The store has names as package naming makes them. Looked up the same way,
// http.server.duration finds its series in whatever form it is written.

// storedLabel returns a label's name as the store has it. A name of which the
// escaping leaves nothing can't have been stored.
func storedLabel(name string) (string, error) {
	if model.LegacyValidation.IsValidLabelName(name) {
		return name, nil
	}
	return naming.Label(name)
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
	named := 0
	for i, m := range vs.LabelMatchers {
		m, err := storedMatcher(m)
		if err != nil {
			return err
		}
		vs.LabelMatchers[i] = m
		if m.Name == labels.MetricName {
			named++
		}
	}
	vs.Name = nameOf(vs.LabelMatchers)
	if named > 1 {
		vs.Name = "" // the printer would leave one of them out
	}
	return nil
}

func storedLabels(names []string) (err error) {
	for i := 0; i < len(names) && err == nil; i++ {
		names[i], err = storedLabel(names[i])
	}
	return err
}

func storedMatcher(m *labels.Matcher) (*labels.Matcher, error) {
	equality := m.Type == labels.MatchEqual || m.Type == labels.MatchNotEqual
	value := m.Value
	name, err := storedLabel(m.Name)
	switch {
	case err != nil || !equality:
	case name == labels.MetricName && value != "" && !model.LegacyValidation.IsValidMetricName(value):
		value, err = naming.Metric(value)
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
