package check

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/manifest"
	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
)

// trigger is one of a ScaledObject's, as written or as KServe writes it.
type trigger struct {
	node     manifest.Node // the whole
	kind     string
	metadata map[string]string
	from     map[string]manifest.Node // where the metadata stand
	// names are what the keys are called where the trigger was made from.
	names map[string]string
	level bool // what the query yields is no load that replicas share
}

// at is where a key stands, or would.
func (t *trigger) at(key string) manifest.Node {
	if n, ok := t.from[key]; ok {
		return n
	}
	return t.node.Get("metadata", key)
}

// ours tells whether KEDA asks us.
func (c *Checker) ours(t *trigger) bool {
	switch t.kind {
	case "external", "external-push":
		_, queries := t.metadata["metricQuery"]
		return queries || c.isOurs(hostOf(t.metadata["scalerAddress"]))
	case "prometheus":
		return c.isOurs(hostOf(t.metadata["serverAddress"]))
	}
	return false
}

func (c *Checker) isOurs(host string) bool {
	first, _, _ := strings.Cut(host, ".")
	return first == c.service
}

// trigger checks a trigger that is ours. It returns how the query is understood,
// if it is.
func (c *Checker) trigger(r *report, t *trigger) *query.Plan {
	if t.kind == "prometheus" {
		c.prometheus(r, t)
		return nil
	}
	c.scalerAddress(r, t)
	for _, key := range []string{"enableTLS", "unsafeSsl"} {
		if v, ok := t.metadata[key]; ok {
			if _, err := strconv.ParseBool(v); err != nil {
				r.errorf(t.at(key), "%q is neither true nor false, and KEDA refuses the trigger; write %s: \"true\"", v, key)
			}
		}
	}
	found, unread, plan := scaler.Check(t.metadata, c.queries, query.Scope{})
	for _, f := range found {
		r.fault(t, f.Key, f.Err)
	}
	for _, key := range unread {
		r.warnf(t.at(key), "nothing reads this key")
	}
	if plan != nil {
		_, prom := c.queries.PromQL()
		if expr, err := prom.ParseExpr(plan.String()); err == nil {
			t.level = isLevel(expr)
			r.nothing(t, "metricQuery", expr)
		}
		if over, err := query.ParseOverTime(t.metadata["operationOverTime"]); err == nil {
			c.within(r, t, "metricQuery", c.namespace(r), over)
		}
	}
	return plan
}

// namespace is the object's, or the one that it is applied to.
func (c *Checker) namespace(r *report) string {
	if r.object.Namespace != "" {
		return r.object.Namespace
	}
	return c.kserve.Namespace
}

// within reports what keeps a query that is fine by itself from being bounded
// to the series of a namespace.
func (c *Checker) within(r *report, t *trigger, key, namespace string, over query.OverTime) {
	if c.label == "" {
		return
	}
	if _, err := c.queries.Compile(query.Scope{Label: c.label, Value: namespace}, t.metadata[key], over); err != nil {
		r.fault(t, key, err)
	}
}

// fault reports what a parser says about a key, and where in the key's text.
func (r *report) fault(t *trigger, key string, err error) {
	n := t.at(key)
	at := n.Position()
	var syntax *query.SyntaxError
	if errors.As(err, &syntax) {
		if begin := strings.Index(n.Text(), syntax.Text); begin >= 0 {
			at = n.At(begin + syntax.Offset)
		}
	}
	// The field says which key it is.
	message := strings.TrimPrefix(strings.TrimPrefix(err.Error(), key), ":")
	message = strings.TrimPrefix(message, " ")
	message = strings.TrimPrefix(message, query.ErrBadQuery.Error()+": ")
	for name, here := range t.names {
		message = strings.ReplaceAll(message, name, here)
	}
	r.add(Error, at, n, "%s", message)
}

// readTrigger reads a trigger of a ScaledObject or ScaledJob.
func (r *report) readTrigger(n manifest.Node) *trigger {
	t := &trigger{node: n, kind: n.Get("type").Text(), metadata: map[string]string{}, from: map[string]manifest.Node{}}
	if t.kind == "" {
		r.errorf(n.Get("type"), "is missing; write type: external, or external-push")
	}
	for _, p := range n.Get("metadata").Pairs() {
		if p.Value.Exists() && !p.Value.IsString() {
			r.errorf(p.Value, "is %s, and metadata must be text; write %s: %q", describe(p.Value), p.Key, p.Value.Text())
		}
		t.metadata[p.Key], t.from[p.Key] = p.Value.Text(), p.Value
	}
	for _, again := range n.Get("metadata").Twice() {
		r.add(Error, again.At, again.Value, "is written twice; only the last is read")
	}
	return t
}

func describe(n manifest.Node) string {
	switch {
	case n.IsMap():
		return "a mapping"
	case n.IsList():
		return "a list"
	case n.IsBool():
		return fmt.Sprintf("a boolean (%s)", n.Text())
	}
	return fmt.Sprintf("a number (%s)", n.Text())
}
