package query

import (
	"regexp"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// addOn recognises otel-add-on's grammar, op(metric{label=value, ...}), as far
// as it is not PromQL anyway: values without quotes.
var (
	addOnGrouping = regexp.MustCompile(`^\s*(sum|avg|min|max|count)\s*\((.*)\)\s*$`)
	addOnSelector = regexp.MustCompile(`^\s*([a-zA-Z_:][a-zA-Z0-9_:./]*)\s*\{(.*)\}\s*$`)
	addOnLabel    = regexp.MustCompile(`^\s*([a-zA-Z_][a-zA-Z0-9_./]*)\s*=\s*(?:"([^"\\]*)"|'([^'\\]*)'|([^"'=~{}()]+?))\s*$`)
)

// parseAddOn reads otel-add-on's grammar. ok is false if the text is not in it.
func parseAddOn(p parser.Parser, text string) (expr parser.Expr, ok bool) {
	grouping := ""
	if m := addOnGrouping.FindStringSubmatch(text); m != nil {
		grouping, text = m[1], m[2]
	}
	m := addOnSelector.FindStringSubmatch(text)
	if m == nil {
		return nil, false
	}
	matchers := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, m[1])}
	for _, part := range strings.Split(m[2], ",") {
		if strings.TrimSpace(part) == "" {
			continue // a comma at the end
		}
		l := addOnLabel.FindStringSubmatch(part)
		if l == nil {
			return nil, false
		}
		matchers = append(matchers, labels.MustNewMatcher(labels.MatchEqual, l[1], l[2]+l[3]+l[4]))
	}
	// Through the parser once more, so that no half-made tree goes on.
	canonical := (&parser.VectorSelector{LabelMatchers: matchers}).String()
	if grouping != "" {
		canonical = grouping + "(" + canonical + ")"
	}
	expr, err := p.ParseExpr(canonical)
	return expr, err == nil
}
