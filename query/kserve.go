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

// unwrapKServe parses a query that KServe's selector has made invalid. wrapped
// is false if the text does not look like KServe's.
func unwrapKServe(p parser.Parser, text string) (expr parser.Expr, wrapped bool, err error) {
	m := kserveWrapped.FindStringSubmatch(text)
	if m == nil {
		return nil, false, nil
	}
	inner, ns, deployment := strings.TrimSpace(m[1]), m[2], m[3]
	if inner == "" {
		return nil, true, badf("the InferenceService's podmetric.metric.query is empty: write a metric or a PromQL query there, such as %s", exampleSelector)
	}
	expr, err = p.ParseExpr(inner)
	if err != nil {
		var ok bool
		if expr, ok = parseAddOn(p, inner); !ok {
			return nil, true, badf("KServe put {namespace=%q, deployment=%q} behind the InferenceService's query %q, "+
				"and that query is not valid by itself: %w; write one that is, such as %s or rate(vllm:generation_tokens_total[1m])",
				ns, deployment, inner, AsSyntaxError(err), exampleSelector)
		}
	}
	switch expr.Type() {
	case parser.ValueTypeVector:
	case parser.ValueTypeMatrix:
		return nil, true, badf("the InferenceService's query %q is a range of samples: put a function around it, such as rate(%s)", inner, inner)
	default:
		return nil, true, badf("the InferenceService's query %q is a %s, which belongs to no pod: write a metric or a PromQL query, such as %s",
			inner, parser.DocumentedType(expr.Type()), exampleSelector)
	}
	restrict(expr,
		labels.MustNewMatcher(labels.MatchEqual, "namespace", ns),
		labels.MustNewMatcher(labels.MatchEqual, "deployment", deployment))
	return expr, true, nil
}

// restrict adds the matchers to every selector of the query.
func restrict(expr parser.Expr, ms ...*labels.Matcher) {
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if vs, ok := n.(*parser.VectorSelector); ok {
			vs.LabelMatchers = append(vs.LabelMatchers, ms...)
		}
		return nil
	})
}
