package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// apart are the modules that keep the versions their programs were released with:
// those of Kubernetes' own API server, and those that don't work with others.
var apart = []string{"test/admission", "test/e2e/tools/etcd", "test/e2e/tools/kserve", "test/e2e/tools/kubernetes", "test/kserve"}

var (
	kubernetes = regexp.MustCompile(`^(sigs\.)?k8s\.io/|^github\.com/(google/(cel-go|gnostic-models)$|antlr4-go/|openshift/)|^cel\.dev/`)
	prometheus = regexp.MustCompile(`^github\.com/(prometheus/(client_golang|prometheus)$|pb33f/)`)
	collector  = regexp.MustCompile(`^go\.opentelemetry\.io/collector|^github\.com/open-telemetry/`)
	glob       = regexp.MustCompile(`^github\.com/gobwas/glob$`)
)

// ties say who shares a version of a dependency of which not all can have the same.
var ties = []struct {
	dependency *regexp.Regexp
	modules    []string
}{
	{kubernetes, []string{"test/e2e", "test/e2e/tools/collector", "test/e2e/tools/keda", "test/e2e/tools/kwok"}},
	{kubernetes, []string{"test/e2e/tools/helm", "test/helm"}},
	// KEDA 2.21 does not compile with client_golang 1.25.
	{prometheus, []string{"test/e2e", "test/e2e/tools/collector", "test/e2e/tools/keda", "test/e2e/tools/kwok"}},
	{prometheus, []string{".", "test/e2e/tools/prometheus", "test/helm", "test/otlp", "test/promql"}},
	{collector, []string{".", "test/e2e/tools/prometheus", "test/otlp", "test/promql"}}, // a Collector is of one release
	{glob, []string{"test/e2e", "test/e2e/tools/keda"}},                                 // which has an API of its own
	{glob, []string{"test/e2e/tools/collector", "test/e2e/tools/helm", "test/e2e/tools/prometheus", "test/helm", "test/otlp"}},
}

var required = regexp.MustCompile(`(?m)^(?:require )?\t?([^\s/]+\.[^\s/]+/\S+|gopkg\.in/\S+) (v\S+)`)

// TestOneVersionOfEachDependency: a package is compiled, and linted, once for each
// version of whatever it depends on, and all of Kubernetes, KEDA and three clouds
// are among them.
func TestOneVersionOfEachDependency(t *testing.T) {
	root := filepath.Join("..", "..")
	type where struct{ version, module string }
	first := map[string]where{} // by dependency and group
	files := 0
	for _, pattern := range []string{"go.mod", "*/go.mod", "*/*/go.mod", "test/e2e/tools/*/go.mod"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			module, err := filepath.Rel(root, filepath.Dir(name))
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(apart, module) {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files++
			for _, m := range required.FindAllStringSubmatch(string(text), -1) {
				dependency, version := m[1], m[2]
				group, shared := groupOf(module, dependency)
				if !shared {
					continue
				}
				seen, ok := first[dependency+group]
				if !ok {
					first[dependency+group] = where{version, module}
				} else if seen.version != version {
					t.Errorf("%s has %s %s, but %s has %s: go get the newer one there, and go mod tidy", module, dependency, version, seen.module, seen.version)
				}
			}
		}
	}
	if files < 15 || len(first) < 400 {
		t.Fatalf("only %d dependencies in %d files", len(first), files)
	}
}

// groupOf names the modules with which one shares its version of a dependency, if
// any.
func groupOf(module, dependency string) (group string, shared bool) {
	tied := false
	for _, tie := range ties {
		if !tie.dependency.MatchString(dependency) {
			continue
		}
		if slices.Contains(tie.modules, module) {
			return strings.Join(tie.modules, " "), true
		}
		tied = true
	}
	return "", !tied
}
