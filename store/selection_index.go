package store

import "github.com/prometheus/prometheus/model/labels"

// selectionKey is what a selector requires by equality: a metric name, a label, both
// or neither.
type selectionKey struct {
	name  string
	label labels.Label
}

// selectionIndex finds the selections that may match a new series. KServe generates
// one query a deployment, all of the same few metric names; by name alone, a new pod
// would be compared with the selections of all deployments.
type selectionIndex struct {
	keys   map[selectionKey]map[*Selection]struct{}
	labels map[string]int // the number of keys with a label of that name
}

func newSelectionIndex() selectionIndex {
	return selectionIndex{keys: map[selectionKey]map[*Selection]struct{}{}, labels: map[string]int{}}
}

func (x *selectionIndex) add(sel *Selection) {
	sel.key = x.choose(sel.matchers)
	set := x.keys[sel.key]
	if set == nil {
		set = map[*Selection]struct{}{}
		x.keys[sel.key] = set
		x.labels[sel.key.label.Name]++
	}
	set[sel] = struct{}{}
}

// choose returns the key with the fewest selections among those that the selector
// allows: the label that distinguishes it from the others.
func (x *selectionIndex) choose(ms []*labels.Matcher) selectionKey {
	var key selectionKey
	for _, m := range ms {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
			key.name = m.Value
		}
	}
	best := key
	for _, m := range ms {
		if m.Type != labels.MatchEqual || m.Name == labels.MetricName || m.Value == "" {
			continue
		}
		key.label = labels.Label{Name: m.Name, Value: m.Value}
		if best.label.Name == "" || len(x.keys[key]) < len(x.keys[best]) {
			best = key
		}
	}
	return best
}

func (x *selectionIndex) remove(sel *Selection) {
	set := x.keys[sel.key]
	if delete(set, sel); len(set) > 0 {
		return
	}
	delete(x.keys, sel.key)
	name := sel.key.label.Name
	if x.labels[name]--; x.labels[name] == 0 {
		delete(x.labels, name)
	}
}

// matching returns the selections of a series.
func (x *selectionIndex) matching(lset labels.Labels) []*Selection {
	var out []*Selection
	try := func(key selectionKey) {
		for sel := range x.keys[key] {
			if matchesAll(lset, sel.matchers) {
				out = append(out, sel)
			}
		}
	}
	name := lset.Get(labels.MetricName)
	try(selectionKey{name: name})
	try(selectionKey{})
	lset.Range(func(l labels.Label) {
		if x.labels[l.Name] > 0 {
			try(selectionKey{name: name, label: l})
			try(selectionKey{label: l})
		}
	})
	return out
}
