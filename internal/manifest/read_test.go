package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func read(t *testing.T, text string) []Object {
	t.Helper()
	_, objects, bad, err := Read("f.yaml", strings.NewReader(text))
	require.NoError(t, err)
	require.Empty(t, bad)
	return objects
}

func names(objects []Object) (all []string) {
	for _, o := range objects {
		all = append(all, o.String())
	}
	return all
}

func TestReadsWhatPeopleWrite(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"comments", "# a\n---\n# b\n", nil},
		{"one", "kind: A\nmetadata: {name: x}\n", []string{"A x"}},
		{"several", "---\nkind: A\nmetadata: {name: x, namespace: n}\n---\n---\nkind: B\n", []string{"A n/x", "B without a name"}},
		{"a comment behind the marker", "kind: A\n--- # next\nkind: B\n", []string{"A without a name", "B without a name"}},
		{"CRLF", "kind: A\r\n---\r\nkind: B\r\n", []string{"A without a name", "B without a name"}},
		{"directives", "%YAML 1.1\n---\nkind: A\n...\n---\nkind: B\n", []string{"A without a name", "B without a name"}},
		{"JSON", `{"kind": "A", "metadata": {"name": "x"}}`, []string{"A x"}},
		{"a list", "kind: List\nitems:\n- kind: A\n- kind: BList\n  items: [{kind: C}]\n", []string{"A without a name", "C without a name"}},
		{"a marker in a text", "kind: A\nx: |\n  --- \n  a\n", []string{"A without a name"}},
		{"no objects", "- 1\n---\ntext\n", nil},
	} {
		t.Run(tc.name, func(t *testing.T) { require.Equal(t, tc.want, names(read(t, tc.text))) })
	}
}

func TestABrokenDocumentHidesNoOther(t *testing.T) {
	_, objects, bad, err := Read("f.yaml", strings.NewReader("kind: A\n---\nkind: B\nx: y: z\n---\nname: {{ include \"name\" . }}\n---\nkind: C\n"))
	require.NoError(t, err)
	require.Equal(t, []string{"A without a name", "C without a name"}, names(objects))
	require.Len(t, bad, 2)
	require.Equal(t, Position{"f.yaml", 4, 1}, bad[0].Position)
	require.ErrorIs(t, bad[0].Err, ErrSyntax)
	require.NotContains(t, bad[0].Err.Error(), "template")
	require.Equal(t, "f.yaml:6:1", bad[1].String())
	require.ErrorContains(t, bad[1].Err, "helm template . | keda-otel-scaler check -f -")
}

// TestPositions looks for the @ in values in every style, and in the file.
func TestPositions(t *testing.T) {
	for _, text := range []string{
		"q: ab@cd",
		"q:   ab@cd",
		"q: 'ab@cd'",
		"q: 'it''s @'",
		`q: "ab@cd"`,
		`q: "a\"b\\@"`,
		"q: ä'ö@",
		"q: |\n  ab@cd\n",
		"q: |\n  ab\n\n    c@d\n  e\n",
		"q: |-\n      ab\n      c@d",
		"x: 1\n---\n# comment\nq: |\n  ä@\n",
		"{\"q\": \"ab@cd\"}",
	} {
		t.Run(text, func(t *testing.T) {
			objects := read(t, text)
			q := objects[len(objects)-1].Get("q")
			at := q.At(strings.IndexByte(q.Text(), '@'))
			line := []rune(strings.Split(text, "\n")[at.Line-1])
			require.Equal(t, '@', line[at.Column-1])
		})
	}
	t.Run("folded: where it begins", func(t *testing.T) {
		q := read(t, "q: >\n  ab\n  c@d\n")[0].Get("q")
		require.Equal(t, Position{"f.yaml", 1, 4}, q.At(4))
	})
	t.Run("escaped otherwise: where it begins", func(t *testing.T) {
		q := read(t, `q: "\u0061@"`)[0].Get("q")
		require.Equal(t, Position{"f.yaml", 1, 4}, q.At(1))
	})
	t.Run("absent: what it would be in", func(t *testing.T) {
		q := read(t, "a:\n  b: 1\n")[0].Get("a", "c", "d")
		require.Equal(t, Position{"f.yaml", 2, 3}, q.Position())
		require.Equal(t, "a.c.d", q.Path())
		require.False(t, q.Exists())
	})
}

func TestTypesAreThoseOfKubernetes(t *testing.T) {
	o := read(t, `{s: "4", i: 4, f: 4.5, b: true, y: yes, Y: "yes", n: null, m: {}, l: []}`)[0]
	require.True(t, o.Get("s").IsString())
	require.True(t, o.Get("i").IsInt())
	require.True(t, o.Get("f").IsFloat())
	require.True(t, o.Get("b").IsBool())
	require.True(t, o.Get("y").IsBool(), "YAML 1.1")
	require.False(t, o.Get("y").IsString())
	require.True(t, o.Get("Y").IsString())
	require.False(t, o.Get("n").Exists())
	require.True(t, o.Get("m").IsMap())
	require.True(t, o.Get("l").IsList())
}

func TestAliasesAndMerges(t *testing.T) {
	o := read(t, `
base: &base {a: 1, b: 1}
other: &other {b: 2, c: 2}
one: {<<: *base, b: 3}
two: {<<: [*base, *other]}
alias: *base
list: [*base]
twice: {a: 1, b: 2, a: 3}
metadata: {annotations: {x.y/z: v}}
`)[0]
	for path, want := range map[string]string{
		"one.a": "1", "one.b": "3", "two.b": "1", "two.c": "2", "alias.a": "1", "twice.a": "3",
	} {
		require.Equal(t, want, o.Get(strings.Split(path, ".")...).Text(), path)
	}
	require.Equal(t, "list[0].b", o.Get("list").Items()[0].Get("b").Path())
	require.Equal(t, "metadata.annotations[x.y/z]", o.Get("metadata", "annotations", "x.y/z").Path())
	again := o.Get("twice").Twice()
	require.Len(t, again, 1)
	require.Equal(t, "twice.a", again[0].Value.Path())
	require.Equal(t, 21, again[0].At.Column)
}

func TestLimits(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		_, _, _, err := Read("f", strings.NewReader(strings.Repeat("#", maxBytes+1)))
		require.ErrorIs(t, err, ErrTooMuch)
	})
	t.Run("objects", func(t *testing.T) {
		_, _, _, err := Read("f", strings.NewReader(strings.Repeat("kind: A\n---\n", maxObjects+1)))
		require.ErrorIs(t, err, ErrTooMuch)
	})
	// Each level has ten times the one below it: ten to the ninth at the top.
	bomb := "kind: List\nl0: &l0 {kind: List, items: []}\n"
	for i := 1; i < 9; i++ {
		bomb += fmt.Sprintf("l%d: &l%d {kind: List, items: [%s]}\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d,", i-1), 10), ","))
	}
	bomb += "items: [*l8, *l8, *l8, *l8, *l8, *l8, *l8, *l8, *l8, *l8]\n"
	t.Run("aliases", func(t *testing.T) {
		_, _, _, err := Read("f", strings.NewReader(bomb))
		require.ErrorIs(t, err, ErrTooMuch)
	})
	t.Run("a mapping that is merged into itself", func(t *testing.T) {
		o := read(t, "a: &a {b: 1, <<: *a}\n")[0]
		require.Equal(t, "1", o.Get("a", "b").Text())
	})
}

// FuzzRead looks at all that can be reached: it ends, and every position is one
// of the file's.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"kind: A\nmetadata: {name: x}\n---\nkind: B\n", "kind: List\nitems: [{kind: C}]", "q: |\n  a\n  b\n", "q: >-\n  a\n\n  b\n",
		`{"a": ["\u00e4", 'b''c', 1.5, ~]}`, "a: &a [*a]\n", "a: &a {<<: *a}\n", "%YAML 1.1\n---\n? [a]\n: b\n", "a: \"b\n  c\"\n", "!!binary x: y\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, objects, bad, err := Read("f", strings.NewReader(text))
		if err != nil {
			return
		}
		s.steps = min(s.steps, 10_000) // enough for what a fuzzer writes
		for _, b := range bad {
			inFile(t, text, b.Position)
		}
		for _, o := range objects {
			walk(t, text, o.Node, 0)
		}
	})
}

func walk(t *testing.T, text string, n Node, depth int) {
	inFile(t, text, n.Position())
	for i := range n.Text() {
		inFile(t, text, n.At(i))
	}
	if depth > 20 {
		return
	}
	for _, item := range n.Items() {
		walk(t, text, item, depth+1)
	}
	for _, p := range append(n.Pairs(), n.Twice()...) {
		inFile(t, text, p.At)
		walk(t, text, p.Value, depth+1)
	}
	walkAbsent := n.Get("surely not there")
	inFile(t, text, walkAbsent.Position())
}

func inFile(t *testing.T, text string, p Position) {
	lines := strings.Split(text, "\n")
	if p.Line < 1 || p.Line > len(lines)+1 || p.Column < 1 {
		t.Fatalf("%v is not in a file of %d lines", p, len(lines))
	}
}
