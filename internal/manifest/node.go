package manifest

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Node is a value in a file. The zero Node is nowhere; one that is absent knows
// what it would be in.
type Node struct {
	src    *Source
	n      *yaml.Node // nil if absent
	offset int        // lines before its document
	base   string     // the path of what it is in
	key    string     // its own, if that is a mapping
	index  int        // its own, from 1 on, if that is a list
	in     *yaml.Node // of an absent node, what it would be in
}

// Pair is an entry of a mapping. At is where the key stands.
type Pair struct {
	Key   string
	At    Position
	Value Node
}

// Exists tells whether the node is there. An explicit null is not.
func (x Node) Exists() bool { return x.n != nil && x.n.ShortTag() != "!!null" }

// IsMap tells whether it is a mapping.
func (x Node) IsMap() bool { return x.n != nil && x.n.Kind == yaml.MappingNode }

// IsList tells whether it is a sequence.
func (x Node) IsList() bool { return x.n != nil && x.n.Kind == yaml.SequenceNode }

// IsString tells whether it is a string, which Kubernetes does not make of a number.
func (x Node) IsString() bool { return x.is("!!str") }

// IsInt tells whether it is an integer.
func (x Node) IsInt() bool { return x.is("!!int") }

// IsFloat tells whether it is a number with a fraction or an exponent.
func (x Node) IsFloat() bool { return x.is("!!float") }

// IsBool tells whether it is true or false.
func (x Node) IsBool() bool { return x.is("!!bool") }

func (x Node) is(tag string) bool {
	if x.n == nil || x.n.Kind != yaml.ScalarNode {
		return false
	}
	// Kubernetes reads YAML 1.1, in which these are booleans if not quoted.
	if x.n.Style == 0 && oldBooleans[strings.ToLower(x.n.Value)] {
		return tag == "!!bool"
	}
	return x.n.ShortTag() == tag
}

var oldBooleans = map[string]bool{"y": true, "yes": true, "on": true, "n": true, "no": true, "off": true}

// Text returns a scalar's text, and nothing of other nodes.
func (x Node) Text() string {
	if !x.Exists() || x.n.Kind != yaml.ScalarNode {
		return ""
	}
	return x.n.Value
}

// Path names the node within its object, as in spec.triggers[0].metadata.
func (x Node) Path() string {
	switch {
	case x.index > 0:
		return fmt.Sprintf("%s[%d]", x.base, x.index-1)
	case x.key == "":
		return x.base
	case strings.ContainsAny(x.key, "./ "): // as annotations have
		return x.base + "[" + x.key + "]"
	case x.base == "":
		return x.key
	}
	return x.base + "." + x.key
}

// at is the node with another place in its object.
func (x Node) at(base, key string, index int) Node {
	x.base, x.key, x.index = base, key, index
	return x
}

// Source is the file it is in.
func (x Node) Source() *Source { return x.src }

// Get returns what is under the keys. What is not there is absent.
func (x Node) Get(keys ...string) Node {
	for _, key := range keys {
		x = x.get(key)
	}
	return x
}

func (x Node) get(key string) Node {
	child := Node{src: x.src, offset: x.offset, in: x.in}.at(x.Path(), key, 0)
	if x.n != nil {
		child.in = x.n
	}
	if !x.IsMap() || !x.step(len(x.n.Content)) {
		return child
	}
	merges := false
	for i := len(x.n.Content) - 2; i >= 0; i -= 2 { // the last of two counts
		switch k := x.n.Content[i]; {
		case k.ShortTag() == "!!merge":
			merges = true
		case k.Value == key:
			return x.with(x.n.Content[i+1]).at(child.base, key, 0)
		}
	}
	if merges { // what is merged in counts less than what is written
		for _, p := range x.Pairs() {
			if p.Key == key {
				child = p.Value
			}
		}
	}
	return child
}

// Pairs returns a mapping's entries as they are written; those that are merged
// into it come first, as they count less.
func (x Node) Pairs() []Pair { return x.pairs(nil, 0) }

func (x Node) pairs(to []Pair, depth int) []Pair {
	x = x.resolved()
	if !x.IsMap() || !x.step(len(x.n.Content)) {
		return to
	}
	merged, base := len(to), x.Path()
	to = slices.Grow(to, len(x.n.Content)/2)
	for i := 0; i+1 < len(x.n.Content); i += 2 {
		key, value := x.n.Content[i], x.with(x.n.Content[i+1])
		if key.ShortTag() != "!!merge" {
			to = append(to, Pair{key.Value, x.with(key).Position(), value.at(base, key.Value, 0)})
			continue
		}
		if depth == maxNesting {
			continue
		}
		from := []Node{value}
		if value.IsList() {
			from = value.Items()
		}
		own := append([]Pair(nil), to[merged:]...)
		to = to[:merged]
		for j := len(from) - 1; j >= 0; j-- { // the first of a list counts most
			to = from[j].at(base, "", 0).pairs(to, depth+1)
		}
		to = append(to, own...)
	}
	return to
}

// Items returns a sequence's elements.
func (x Node) Items() []Node {
	if !x.IsList() || !x.step(len(x.n.Content)) {
		return nil
	}
	items, base := make([]Node, len(x.n.Content)), x.Path()
	for i, n := range x.n.Content {
		items[i] = x.with(n).at(base, "", i+1)
	}
	return items
}

// Twice returns the keys of a mapping that are written more than once, where
// they are written again.
func (x Node) Twice() (again []Pair) {
	if !x.IsMap() || !x.step(len(x.n.Content)) {
		return nil
	}
	seen := make(map[string]bool, len(x.n.Content)/2)
	for i := 0; i+1 < len(x.n.Content); i += 2 {
		key := x.n.Content[i]
		if seen[key.Value] && key.ShortTag() != "!!merge" {
			value := x.with(x.n.Content[i+1]).at(x.Path(), key.Value, 0)
			again = append(again, Pair{key.Value, x.with(key).Position(), value})
		}
		seen[key.Value] = true
	}
	return again
}

func (x Node) with(n *yaml.Node) Node {
	return Node{src: x.src, n: n, offset: x.offset}.resolved()
}

// resolved is what an alias stands for.
func (x Node) resolved() Node {
	if x.n != nil && x.n.Kind == yaml.AliasNode {
		x.n = x.n.Alias
	}
	return x
}

// step counts what is looked at, and tells whether that goes on.
func (x Node) step(n int) bool {
	x.src.steps -= n + 1
	return x.src.steps > 0
}
