package check

import (
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/kserve"
	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// podMetric checks a metric of which KServe makes an external trigger.
func (c *Checker) podMetric(r *report, p kserve.Component, t *trigger) {
	if t.from["scalerAddress"].Text() == "" {
		t.from["scalerAddress"] = t.node.Get("podmetric", "metric", "serverAddress")
	}
	if strings.TrimSpace(t.from["metricQuery"].Text()) == "" {
		return // said by metric
	}
	plan := c.trigger(r, t)
	if plan == nil {
		return
	}
	r.shares(t, "metricQuery", perPod)
	c.wrapping(r, p, t, plan)
	c.names(r, p, t, plan)
}

// wrapping says what KServe's selector, which is put behind the text of a query
// whatever it is, makes of it.
func (c *Checker) wrapping(r *report, p kserve.Component, t *trigger, plan *query.Plan) {
	n, text := t.from["metricQuery"], t.metadata["metricQuery"]
	_, prom := c.queries.PromQL()
	expr, err := prom.ParseExpr(text)
	if err != nil {
		r.add(Note, n.Position(), n, "KServe makes %s of it, which is no PromQL; keda-otel-scaler understands it as %s, other scalers refuse it", text, plan)
		return
	}
	const wrapped = "sum("
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		vs, ok := node.(*parser.VectorSelector)
		if !ok || has(vs, "namespace", p.Meta.Namespace) && has(vs, "deployment", p.Meta.Name) {
			return nil
		}
		own := *vs
		own.LabelMatchers = append(slices.Clone(vs.LabelMatchers),
			labels.MustNewMatcher(labels.MatchEqual, "namespace", p.Meta.Namespace), labels.MustNewMatcher(labels.MatchEqual, "deployment", p.Meta.Name))
		r.add(Warning, n.At(int(vs.PosRange.Start)-len(wrapped)), n,
			"KServe's {namespace=%q, deployment=%q} gets behind the last metric only, so %s is that of all pods in the cluster; write %s",
			p.Meta.Namespace, p.Meta.Name, vs, &own)
		return nil
	})
}

func has(vs *parser.VectorSelector, label, value string) bool {
	return slices.ContainsFunc(vs.LabelMatchers, func(m *labels.Matcher) bool {
		return m.Name == label && m.Type == labels.MatchEqual && m.Value == value
	})
}

// names checks that the sidecar's Collector lets through what the query asks for.
func (c *Checker) names(r *report, p kserve.Component, t *trigger, plan *query.Plan) {
	list := t.node.Get("podmetric", "metric", "metricNames")
	_, prom := c.queries.PromQL()
	expr, err := prom.ParseExpr(plan.String())
	if err != nil {
		return
	}
	asked := make(map[string]bool)
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if vs, ok := node.(*parser.VectorSelector); ok {
			for _, m := range vs.LabelMatchers {
				if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
					asked[m.Value] = true
				}
			}
		}
		return nil
	})
	names := slices.Sorted(maps.Keys(asked))
	if p.Collector == nil {
		r.warnf(list, "is missing, so KServe makes no Collector, and the pods push nothing by themselves; write metricNames: [%s]", strings.Join(names, ", "))
		return
	}
	for _, name := range names {
		if !lets(p.MetricNames, name) {
			r.errorf(list, "the Collector drops what is not named here, and the query asks for %s; add %s", name, family(name))
		}
	}
}

// lets tells whether the names, which are those of families, let a series'
// metric through.
func lets(names []string, metric string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		name = strings.NewReplacer(".", "_", "/", "_", "-", "_").Replace(name)
		suffix, ok := strings.CutPrefix(metric, name)
		return ok && slices.Contains([]string{"", "_sum", "_count", "_bucket"}, suffix) && !strings.HasSuffix(name, "_bucket")
	})
}

// family is what a Collector calls the histogram that a metric is of.
func family(metric string) string { return strings.TrimSuffix(metric, "_bucket") }
