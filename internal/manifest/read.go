package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

const (
	// maxBytes is the most that is read of a file. What Helm renders of a whole
	// platform is smaller.
	maxBytes = 8 << 20
	// maxObjects is how many objects a file may hold.
	maxObjects = 10_000
	// maxSteps bounds how often nodes are looked at, which aliases could make as
	// good as endless.
	maxSteps = 10_000_000
	// maxNesting is how deep Lists, and merged mappings, may be in each other.
	maxNesting = 8
)

var (
	// ErrTooMuch is wrapped when a file is beyond a limit.
	ErrTooMuch = errors.New("more than is read")
	// ErrSyntax is wrapped when a document is no YAML.
	ErrSyntax = errors.New("not YAML")
)

// Source is a file that was read.
type Source struct {
	// Name is the file's as it was given.
	Name  string
	lines [][]byte
	steps int // left
}

// Line returns a line of the file, the first of which is 1, without its end.
func (s *Source) Line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return string(bytes.TrimSuffix(s.lines[n-1], []byte("\r")))
}

// Err wraps ErrTooMuch if the file could not be looked through to its end.
func (s *Source) Err() error {
	if s.steps > 0 {
		return nil
	}
	return fmt.Errorf("%s: %w: its aliases repeat each other too often; write them out", s.Name, ErrTooMuch)
}

// Object is a Kubernetes object. Its Node is the whole of it.
type Object struct {
	Node
	APIVersion, Kind, Namespace, Name string
}

// String names the object as messages do.
func (o Object) String() string {
	name := o.Name
	if name == "" {
		name = "without a name"
	}
	if o.Namespace != "" {
		name = o.Namespace + "/" + name
	}
	return o.Kind + " " + name
}

// BadDocument is a document that is no YAML, and where. The others of the file
// are read nevertheless.
type BadDocument struct {
	Position
	Err error
}

// Read reads a file. The error wraps ErrTooMuch, or is the reader's.
func Read(name string, r io.Reader) (*Source, []Object, []BadDocument, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(text) > maxBytes {
		return nil, nil, nil, fmt.Errorf("%s: %w: more than %d MiB; give it in several files", name, ErrTooMuch, maxBytes>>20)
	}
	s := &Source{Name: name, lines: bytes.Split(text, []byte("\n")), steps: maxSteps}
	var objects []Object
	var bad []BadDocument
	for _, first := range s.documents() {
		last := len(s.lines)
		if i := first.next; i > 0 {
			last = i
		}
		roots, err := decode(bytes.Join(s.lines[first.line:last], []byte("\n")))
		for _, root := range roots {
			objects = Node{src: s, n: root, offset: first.line}.objects(objects, 0)
		}
		if err != nil {
			bad = append(bad, s.bad(err, first.line))
		}
		if len(objects) > maxObjects {
			return nil, nil, nil, fmt.Errorf("%s: %w: more than %d objects; give it in several files", name, ErrTooMuch, maxObjects)
		}
	}
	return s, objects, bad, s.Err()
}

// document is where a document begins, and the next; 0 if there is none.
type document struct{ line, next int }

// documents splits the file where a document begins. YAML has "---" at the
// beginning of a line for nothing else, not even within a block scalar. So
// a document that is broken doesn't hide those behind it.
func (s *Source) documents() []document {
	all := []document{{}}
	content := false
	for i, line := range s.lines {
		line = bytes.TrimRight(line, " \t\r")
		if bytes.Equal(line, []byte("---")) || bytes.HasPrefix(line, []byte("--- ")) {
			if content {
				all[len(all)-1].next = i
				all = append(all, document{line: i})
			}
			content = false
			line = line[3:]
		}
		// What stands before the marker of a document may be about it.
		content = content || len(line) > 0 && line[0] != '%' && line[0] != '#'
	}
	return all
}

// decode parses a document, or several that "..." separates.
func decode(text []byte) (roots []*yaml.Node, err error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var n yaml.Node
		if err := d.Decode(&n); errors.Is(err, io.EOF) {
			return roots, nil
		} else if err != nil {
			return roots, err
		}
		if key := oddKey(&n); key != nil {
			return roots, fmt.Errorf("yaml: line %d: a key that is no text", key.Line)
		}
		roots = append(roots, &n)
	}
}

// oddKey finds a key that JSON, which Kubernetes makes of it all, doesn't have:
// {{ .Values.x }} has one.
func oddKey(n *yaml.Node) *yaml.Node {
	for i, inner := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && inner.Kind != yaml.ScalarNode && inner.Kind != yaml.AliasNode {
			return inner
		}
		if key := oddKey(inner); key != nil {
			return key
		}
	}
	return nil
}

var (
	yamlError = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)
	template  = regexp.MustCompile(`\{\{.*\}\}`)
)

// bad says in which line of the file a document is broken.
func (s *Source) bad(err error, first int) BadDocument {
	line, reason := 1, err.Error()
	if m := yamlError.FindStringSubmatch(reason); m != nil {
		reason = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
	}
	line = min(first+line, len(s.lines))
	why := ""
	for i := max(line-2, 0); i < line; i++ {
		if template.Match(s.lines[i]) {
			why = "; this is a template: render it first, for example helm template . | keda-otel-scaler check -f -"
		}
	}
	return BadDocument{Position{s.Name, line, 1}, fmt.Errorf("%w: %s%s", ErrSyntax, reason, why)}
}

// objects appends the objects in a document, or in a List.
func (x Node) objects(to []Object, depth int) []Object {
	if x.n.Kind == yaml.DocumentNode && len(x.n.Content) == 1 {
		x.n = x.n.Content[0]
	}
	x = x.resolved()
	if !x.IsMap() || len(to) > maxObjects {
		return to
	}
	o := Object{Node: x, APIVersion: x.Get("apiVersion").Text(), Kind: x.Get("kind").Text()}
	if items := x.Get("items"); items.IsList() && len(o.Kind) >= 4 && o.Kind[len(o.Kind)-4:] == "List" && depth < maxNesting {
		for _, item := range items.Items() {
			to = item.at("", "", 0).objects(to, depth+1)
		}
		return to
	}
	o.Namespace, o.Name = x.Get("metadata", "namespace").Text(), x.Get("metadata", "name").Text()
	return append(to, o)
}
