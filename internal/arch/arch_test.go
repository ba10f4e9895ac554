package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/keda-otel-scaler/keda-otel-scaler"

// rules say which of our own packages each may import, and why. Data flows one
// way: wire bytes -> otlpreceiver -> store -> query -> scaler -> KEDA. A name
// that ends in a slash is a rule for all below that have none of their own.
var rules = map[string]struct {
	imports []string
	why     string
}{
	"store":              {[]string{"store/internal/labelindex", "store/internal/ring"}, "the store serves all others, so it depends only on its own data structures"},
	"store/internal/":    {nil, "a data structure depends on nothing of ours"},
	"otlpreceiver":       {[]string{"internal/limit", "internal/naming", "store"}, "taking data in must not know what it is asked for"},
	"query":              {[]string{"internal/limit", "internal/naming", "store"}, "a query sees series, never where they came from or who asks"},
	"scaler":             {[]string{"internal/limit", "query"}, "a decision is made from answers; reaching past the query would give a second truth"},
	"internal/":          {nil, "leaves: each can be read, tested and replaced alone"},
	"internal/admission": {[]string{"internal/limit", "query", "scaler"}, "it judges by the parser that KEDA's calls meet, so that there is no second opinion"},
	"internal/check":     {[]string{"internal/kserve", "internal/manifest", "query", "scaler"}, "it judges with the parsers that answer KEDA, or it would be a second opinion"},
	"internal/httpapi":   {[]string{"internal/limit"}, "it answers about whatever queryable and engine it is given, so that its answers are theirs"},
	"internal/inspect":   {[]string{"internal/limit", "proto/inspect/v1", "query", "scaler"}, "it tells what those two say, and reaches past neither"},
	"internal/kserve":    {[]string{"internal/manifest"}, "it says what KServe does, which is the same whatever we think of it"},
	"internal/serve":     {[]string{"internal/access", "internal/admission", "internal/config", "internal/httpapi", "internal/inspect", "internal/selfmetrics", "internal/snapshot", "internal/tracing", "otlpreceiver", "query", "scaler", "store"}, "the one place where the parts meet"},
	"proto/":             {nil, "a contract depends on no side of it"},
	"cmd/":               {[]string{"internal/access", "internal/check", "internal/config", "internal/kserve", "internal/manifest", "internal/selfmetrics", "internal/serve", "proto/inspect/v1"}, "a command line decides nothing but how to start, and how to print"},
}

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string // of the files that ship, not of tests
}

// name is the import path within the module.
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		rule, ok := rules[p.name()]
		for dir := p.name(); !ok && dir != "."; {
			dir = filepath.Dir(dir)
			rule, ok = rules[dir+"/"]
		}
		if !ok {
			t.Errorf("%s has no rule: decide what it may import, and say why", p.name())
			continue
		}
		for _, imported := range p.Imports {
			name, ours := strings.CutPrefix(imported, module+"/")
			if ours && !slices.Contains(rule.imports, name) {
				t.Errorf("%s imports %s, but may import only %v of ours: %s", p.name(), name, rule.imports, rule.why)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment: say what it owns and what it never does", p.name())
		}
	}
}

// packages are all of the module's.
func packages(t *testing.T) []pkg {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Doc,Imports", module+"/...")
	var stderr bytes.Buffer
	list.Stderr = &stderr
	output, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var all []pkg
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < len(rules)-4 { // less the four that are for many
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}
