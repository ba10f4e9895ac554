package otlpreceiver

import (
	"cmp"
	"errors"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// The attributes that Prometheus turns into job and instance.
const (
	serviceName      = "service.name"
	serviceNamespace = "service.namespace"
	serviceInstance  = "service.instance.id"
)

// identities are the labels by which KServe's ScaledObjects pick a workload,
// and where a resource says them. KServe's collector copies them onto every
// point; a sender without that processor must be found all the same.
var identities = [...]struct{ label, key string }{
	{"deployment", "k8s.deployment.name"},
	{"namespace", "k8s.namespace.name"},
	{"pod", "k8s.pod.name"},
}

// promotion says which resource attributes become labels. It is never changed.
type promotion struct {
	all    bool
	listed map[string]bool
}

func newPromotion(keys []string) (promotion, error) {
	p := promotion{listed: map[string]bool{}}
	for _, k := range keys {
		switch k {
		case "":
			return p, errors.New(`resource attributes: an attribute's name is empty; list names such as k8s.node.name, or "*" for all`)
		case "*":
			p.all = true
		default:
			p.listed[k] = true
		}
	}
	return p, nil
}

func (p promotion) takes(key string) bool {
	switch key {
	case serviceName, serviceNamespace, serviceInstance:
		return p.listed[key] // they are job and instance already
	default:
		return p.all || p.listed[key]
	}
}

// resourceLabels returns the labels that points take from their resource when
// they have none of that name, sorted, and which attributes are dropped.
func (n *namer) resourceLabels(p promotion, attrs []attribute) (ls []labels.Label, without dropped) {
	taken := make([]attribute, 0, len(attrs))
	for _, a := range attrs {
		if p.takes(a.key) {
			taken = append(taken, a)
		}
	}
	promoted, without := n.appendLabels(nil, taken)
	return appendMerged(nil, fixedLabels(attrs), promoted), without
}

// fixedLabels returns the labels that every resource gives, whatever is
// configured, sorted.
func fixedLabels(attrs []attribute) []labels.Label {
	var ls []labels.Label
	add := func(name, value string) {
		if value != "" {
			ls = append(ls, labels.Label{Name: name, Value: validText(value)})
		}
	}
	for _, id := range identities {
		add(id.label, find(attrs, id.key))
	}
	add("instance", find(attrs, serviceInstance))
	job := find(attrs, serviceName)
	if ns := find(attrs, serviceNamespace); ns != "" && job != "" {
		job = ns + "/" + job
	}
	add("job", job)
	slices.SortFunc(ls, func(a, b labels.Label) int { return cmp.Compare(a.Name, b.Name) })
	return ls
}

// find returns the value of an attribute; one that is empty counts as absent.
func find(attrs []attribute, key string) string {
	for _, a := range attrs {
		if a.key == key && a.value != "" {
			return a.value
		}
	}
	return ""
}
