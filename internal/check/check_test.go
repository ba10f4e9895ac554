package check

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/kserve"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/manifest"
)

func newChecker(t testing.TB) *Checker {
	t.Helper()
	c, err := New(Options{Service: "keda-otel-scaler", KServe: kserve.Defaults()})
	require.NoError(t, err)
	return c
}

// findings are those of a file, each as its line, its severity and what it says.
func findings(t testing.TB, name, text string) (all []Finding, skipped int) {
	t.Helper()
	c := newChecker(t)
	_, objects, bad, err := manifest.Read(name, strings.NewReader(text))
	require.NoError(t, err)
	require.Empty(t, bad)
	for _, o := range objects {
		found, known := c.Object(o)
		all = append(all, found...)
		if !known {
			skipped++
		}
	}
	return all, skipped
}

// wanted is a comment that wants a finding in its line, or so many below.
var wanted = regexp.MustCompile(`# (?:\+(\d+) )?((?:error|warning|note): .*?)(?: # |$)`)

// TestFindings looks for what the comments in testdata want, in those lines, and
// for nothing else.
func TestFindings(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			found, _ := findings(t, file, string(text))
			for i, line := range strings.Split(string(text), "\n") {
				// The next want begins where the last ended, with its " # ".
				for rest := line; ; {
					m := wanted.FindStringSubmatchIndex(rest)
					if m == nil {
						break
					}
					below := 0
					if m[2] >= 0 {
						below, _ = strconv.Atoi(rest[m[2]:m[3]])
					}
					found = without(t, found, i+1+below, rest[m[4]:m[5]])
					rest = rest[m[5]:]
				}
			}
			for _, f := range found {
				t.Errorf("%s: nobody wants %s: %s: %s: %s", f.Position, f.Severity, f.Object, f.Field, f.Message)
			}
		})
	}
}

// without takes the finding out that a comment wants.
func without(t *testing.T, all []Finding, line int, want string) []Finding {
	t.Helper()
	severity, text, _ := strings.Cut(want, ": ")
	for i, f := range all {
		if f.Line == line && string(f.Severity) == severity && strings.Contains(f.Field+": "+f.Message, text) {
			return append(all[:i:i], all[i+1:]...)
		}
	}
	t.Errorf("line %d: want %s", line, want)
	return all
}

func TestPositionsOfFaultsInQueries(t *testing.T) {
	for _, tc := range []struct{ name, query string }{
		{"plain", "metricQuery: sum(rate(x[1m@))"},
		{"single quotes", "metricQuery: 'sum(x{a=''b''@)'"},
		{"double quotes", `metricQuery: "sum(x{a=\"b\"@)"`},
		{"block", "metricQuery: |\n          sum(\n            rate(x[1m@))"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: a}\nspec:\n  scaleTargetRef: {name: a}\n  triggers:\n    - type: external\n      metadata:\n" +
				"        scalerAddress: keda-otel-scaler:4318\n        targetValue: \"1\"\n        " + tc.query + "\n"
			before, _, _ := strings.Cut(text, "@")
			found, _ := findings(t, "f", strings.Replace(text, "@", "", 1))
			require.Len(t, found, 1)
			require.Equal(t, strings.Count(before, "\n")+1, found[0].Line)
			require.Equal(t, len(before)-strings.LastIndex(before, "\n"), found[0].Column)
		})
	}
}

func TestBounds(t *testing.T) {
	trigger := "{type: external, metadata: {scalerAddress: \"keda-otel-scaler:1\", metricQuery: sum(x, targetValue: x}}"
	head := "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: a}\nspec:\n  scaleTargetRef: {name: a}\n"
	t.Run("triggers and findings", func(t *testing.T) {
		found, _ := findings(t, "f", head+"  triggers: ["+strings.Repeat(trigger+",", 10*maxTriggers)+"]\n")
		require.Len(t, found, maxFindings)
		require.Contains(t, found[0].Message, "has 1000 triggers, of which the first 100 were looked at")
	})
	t.Run("aliases", func(t *testing.T) {
		var b bytes.Buffer
		b.WriteString("kind: List\nx: &k0 {" + strings.Repeat("a: 1,", 20_000) + "}\nitems:\n")
		for range 1000 {
			fmt.Fprintf(&b, "- {apiVersion: keda.sh/v1alpha1, kind: ScaledObject, spec: {triggers: [%s]}}\n", strings.Repeat("{type: external, metadata: *k0},", 100))
		}
		c := newChecker(t)
		source, objects, _, err := manifest.Read("f", &b)
		require.NoError(t, err)
		large := objects[0].Get("spec", "triggers").Items()[0].Get("metadata")
		for range 240 { // most of what may be looked at, cheaply
			large.Get("nowhere")
		}
		require.NoError(t, source.Err())
		for _, o := range objects {
			c.Object(o)
		}
		require.ErrorIs(t, source.Err(), manifest.ErrTooMuch)
	})
}

// FuzzObject checks whatever is YAML: it ends, and what it finds is in the file.
func FuzzObject(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, document := range strings.Split(string(text), "\n---\n") {
			f.Add(document)
		}
	}
	c := newChecker(f)
	f.Fuzz(func(t *testing.T, text string) {
		_, objects, _, err := manifest.Read("f", strings.NewReader(text))
		if err != nil {
			return
		}
		for _, o := range objects {
			found, _ := c.Object(o)
			for _, f := range found {
				if f.Line < 1 || f.Line > strings.Count(text, "\n")+1 || f.Column < 1 || f.Message == "" {
					t.Fatalf("%+v is not in the file", f)
				}
			}
		}
	})
}
