package manifest

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Node is a value in a file. The zero Node is nowhere; one that is absent knows
// what it would be in.
type Node struct {
	src    *Source
	n      *yaml.Node // nil if absent
	offset int        // lines before its document
	path   string
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
func (x Node) Path() string { return x.path }

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
	child := Node{src: x.src, offset: x.offset, path: join(x.path, key), in: x.in}
	if x.n != nil {
		child.in = x.n
	}
	for _, p := range x.Pairs() {
		if p.Key == key {
			child = p.Value
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
	merged := len(to)
	for i := 0; i+1 < len(x.n.Content); i += 2 {
		key, value := x.n.Content[i], x.with(x.n.Content[i+1])
		if key.ShortTag() != "!!merge" {
			value.path = join(x.path, key.Value)
			to = append(to, Pair{key.Value, x.with(key).Position(), value})
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
			from[j].path = x.path
			to = from[j].pairs(to, depth+1)
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
	items := make([]Node, len(x.n.Content))
	for i, n := range x.n.Content {
		items[i] = x.with(n)
		items[i].path = fmt.Sprintf("%s[%d]", x.path, i)
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
			value := x.with(x.n.Content[i+1])
			value.path = join(x.path, key.Value)
			again = append(again, Pair{key.Value, x.with(key).Position(), value})
		}
		seen[key.Value] = true
	}
	return again
}

func (x Node) with(n *yaml.Node) Node {
	return Node{src: x.src, n: n, offset: x.offset, path: x.path}.resolved()
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

// join extends a path. A key with dots in it, as annotations have, is set apart.
func join(path, key string) string {
	if strings.ContainsAny(key, "./ ") {
		return path + "[" + key + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
