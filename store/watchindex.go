package store

import "github.com/prometheus/prometheus/model/labels"

// watchKey is what a selector demands by equality: a metric name, a label, both
// or neither.
type watchKey struct {
	name  string
	label labels.Label
}

// watchIndex finds the watches that may match a new series. KServe makes one
// query a deployment, all of the same few metric names; going by the name alone,
// a new pod would be tested against the watches of all deployments.
type watchIndex struct {
	keys   map[watchKey]map[*Watch]struct{}
	labels map[string]int // how many keys there are with a label of that name
}

func newWatchIndex() watchIndex {
	return watchIndex{keys: map[watchKey]map[*Watch]struct{}{}, labels: map[string]int{}}
}

// add puts the watch under one key for each of its selectors.
func (x *watchIndex) add(w *Watch) {
	for _, ms := range w.selectors {
		key := x.choose(ms)
		set := x.keys[key]
		if set == nil {
			set = map[*Watch]struct{}{}
			x.keys[key] = set
			x.labels[key.label.Name]++
		}
		set[w] = struct{}{}
		w.keys = append(w.keys, key)
	}
}

// choose returns the key with the fewest watches among those that the selector
// allows: the label that tells it from the others.
func (x *watchIndex) choose(ms []*labels.Matcher) watchKey {
	var key watchKey
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

func (x *watchIndex) remove(w *Watch) {
	for _, key := range w.keys {
		set, ok := x.keys[key]
		if delete(set, w); len(set) > 0 || !ok {
			continue // a second selector may have had the same key
		}
		delete(x.keys, key)
		if x.labels[key.label.Name]--; x.labels[key.label.Name] == 0 {
			delete(x.labels, key.label.Name)
		}
	}
	w.keys = nil
}

// matching returns the watches that want the series.
func (x *watchIndex) matching(lset labels.Labels) []*Watch {
	var out []*Watch
	var seen map[*Watch]bool // those that stand under several keys
	try := func(key watchKey) {
		for w := range x.keys[key] {
			if seen[w] || !w.matches(lset) {
				continue
			}
			if len(w.keys) > 1 {
				if seen == nil {
					seen = map[*Watch]bool{}
				}
				seen[w] = true
			}
			out = append(out, w)
		}
	}
	name := lset.Get(labels.MetricName)
	try(watchKey{name: name})
	try(watchKey{})
	lset.Range(func(l labels.Label) {
		if x.labels[l.Name] > 0 {
			try(watchKey{name: name, label: l})
			try(watchKey{label: l})
		}
	})
	return out
}
