package query

import (
	"regexp"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// kserveWrapped is what KServe's controller makes of a PodMetric's query:
// sum(<query>{namespace="<ns>", deployment="<component>"}), whatever the query is.
var kserveWrapped = regexp.MustCompile(`(?s)^\s*sum\((.*)\{namespace="([^"\\]*)",\s*deployment="([^"\\]*)"\}\)\s*$`)

// unwrapKServe parses a query that KServe's selector has made invalid.
func (e *Engine) unwrapKServe(query, namespace, deployment string) (parser.Expr, error) {
	query = strings.TrimSpace(query)
	if query == "" {
		return nil, badf("the InferenceService's podmetric.metric.query is empty: write a metric or a PromQL query there, such as %s", exampleSelector)
	}
	expr, err := e.parse(query)
	if err != nil {
		return nil, badf("KServe put {namespace=%q, deployment=%q} behind the InferenceService's query %q, "+
			"and that query is not valid by itself: %w; write one that is, such as %s or rate(vllm:generation_tokens_total[1m])",
			namespace, deployment, query, err, exampleSelector)
	}
	switch expr.Type() {
	case parser.ValueTypeVector:
	case parser.ValueTypeMatrix:
		return nil, badf("the InferenceService's query %q is a range of samples: put a function around it, such as rate(%s)", query, query)
	default:
		return nil, badf("the InferenceService's query %q is a %s, which belongs to no pod: write a metric or a PromQL query, such as %s",
			query, parser.DocumentedType(expr.Type()), exampleSelector)
	}
	for _, s := range selectorsOf(expr) {
		s.node.LabelMatchers = append(s.node.LabelMatchers,
			labels.MustNewMatcher(labels.MatchEqual, "namespace", namespace),
			labels.MustNewMatcher(labels.MatchEqual, "deployment", deployment))
	}
	return expr, nil
}
