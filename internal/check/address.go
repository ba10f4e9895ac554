package check

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// ports are our Service's, and what each is for.
var ports = map[string]string{
	"4317": "takes OTLP over gRPC",
	"4318": "answers KEDA's external scaler calls",
	"4319": "takes OTLP over HTTP",
	"8080": "serves /metrics and health",
	"9090": "serves the Prometheus API",
}

const (
	scalerPort = "4318"
	httpPort   = "9090"
)

// hostOf is the host in an address of KEDA's, with a scheme or without one.
func hostOf(address string) string {
	_, rest, ok := strings.Cut(address, "://")
	if !ok {
		rest = address
	}
	rest = strings.TrimLeft(rest, "/") // gRPC's resolvers have three, as in dns:///
	rest, _, _ = strings.Cut(rest, "/")
	if host, _, err := net.SplitHostPort(rest); err == nil {
		return host
	}
	return rest
}

// scalerAddress checks where KEDA's gRPC client is sent.
func (c *Checker) scalerAddress(r *report, t *trigger) {
	const key = "scalerAddress"
	example := c.service + ".keda.svc:" + scalerPort
	address, n := t.metadata[key], t.at(key)
	name := key
	if here := t.names[key]; here != "" {
		name = here
	}
	host := hostOf(address)
	scheme, rest, ok := strings.Cut(address, "://")
	switch {
	case strings.TrimSpace(address) == "":
		r.errorf(n, "is missing, and KEDA refuses the trigger; write %s: %s", name, example)
		return
	case ok && (scheme == "http" || scheme == "https"):
		r.errorf(n, "%q is a URL, and KEDA's gRPC client wants host:port; write %s: %s", address, name, rest)
		return
	case !ok:
		rest = address
	}
	_, port, err := net.SplitHostPort(strings.TrimLeft(rest, "/"))
	switch {
	case err != nil || port == "":
		r.errorf(n, "%q has no port, so KEDA would ask at 443; write %s: %s:%s", address, name, host, scalerPort)
	case !c.isOurs(host) || port == scalerPort:
	case ports[port] != "":
		r.errorf(n, "port %s %s; KEDA is answered at %s: write %s: %s:%s", port, ports[port], scalerPort, name, host, scalerPort)
	default:
		r.warnf(n, "port %s is none of the Service's, unless it was installed so; KEDA is answered at %s: write %s: %s:%s", port, scalerPort, name, host, scalerPort)
	}
}

// prometheus checks a trigger of KEDA's that asks our Prometheus API.
func (c *Checker) prometheus(r *report, t *trigger) {
	n := t.at("serverAddress")
	address, err := url.Parse(t.metadata["serverAddress"])
	if err != nil || address.Scheme != "http" && address.Scheme != "https" {
		r.errorf(n, "%q is no URL; write serverAddress: http://%s.keda.svc:%s/keda", t.metadata["serverAddress"], c.service, httpPort)
		return
	}
	if port := address.Port(); port != httpPort {
		what := "is none of the Service's"
		if ports[port] != "" {
			what = ports[port]
		}
		if port == "" {
			port, what = "80", "is the default"
		}
		r.errorf(n, "port %s %s; the Prometheus API is at %s: write serverAddress: %s://%s:%s/keda", port, what, httpPort, address.Scheme, address.Hostname(), httpPort)
	}
	expr := c.promQL(r, t)
	if expr != nil {
		t.level = isLevel(expr)
		r.nothing(t, "query", expr)
	}
	under := address.Scheme + "://" + address.Host + "/keda"
	switch path := strings.Trim(address.Path, "/"); {
	case path == "keda":
		c.named(r, t, expr)
	case path != "":
		r.errorf(n, "there is no API at %s; write serverAddress: %s", address.Path, under)
	case isSelector(expr):
		r.warnf(n, "KEDA refuses a result of several elements, which the query %s has as soon as there are two pods; "+
			"write serverAddress: %s, where it is summed, or query: sum(%s)", expr, under, expr)
	default:
		r.warnf(n, "KEDA reads an empty result as 0, also where it hides load; write serverAddress: %s, where that is an error and KEDA holds", under)
	}
	threshold(r, t)
}

// named checks the namespace that a trigger under /keda must name where one is
// enforced: KEDA tells us no other.
func (c *Checker) named(r *report, t *trigger, expr parser.Expr) {
	switch namespace := t.metadata["namespace"]; {
	case c.label == "":
	case namespace == "":
		r.errorf(t.at("namespace"), "is missing, and under /keda only the series of one namespace are shown; write namespace: %s", c.namespace(r))
	case expr != nil:
		c.within(r, t, "query", namespace, query.LastOne)
	}
}

// threshold is a plain number to KEDA, not a quantity.
func threshold(r *report, t *trigger) {
	const key = "threshold"
	n, name := t.at(key), key
	if here := t.names[key]; here != "" {
		name = here
	}
	switch v, err := strconv.ParseFloat(t.metadata[key], 64); {
	case t.metadata[key] == "":
		r.errorf(n, "is missing, and KEDA refuses the trigger; write %s: \"2\"", name)
	case err != nil:
		r.errorf(n, "%q is not a number, and KEDA refuses the trigger; write for example %s: \"0.5\", as it knows no quantities here", t.metadata[key], name)
	case v <= 0:
		r.errorf(n, "%q must be greater than 0; write for example %s: \"2\"", t.metadata[key], name)
	}
}

// promQL parses the query of a prometheus trigger, which is read as PromQL only.
func (c *Checker) promQL(r *report, t *trigger) parser.Expr {
	if strings.TrimSpace(t.metadata["query"]) == "" {
		r.errorf(t.at("query"), "is missing; write for example query: sum(vllm:num_requests_running)")
		return nil
	}
	_, p := c.queries.PromQL()
	expr, err := p.ParseExpr(t.metadata["query"])
	if err != nil {
		r.fault(t, "query", query.AsSyntaxError(err))
		return nil
	}
	return expr
}

func isSelector(expr parser.Expr) bool {
	_, ok := unwrapped(expr).(*parser.VectorSelector)
	return ok
}
