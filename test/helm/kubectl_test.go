package helm

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/kubectl/pkg/cmd"
)

// kubectlSpan is a command in running text.
var kubectlSpan = regexp.MustCompile("`(kubectl [^`]*)`")

// kubectlLines are a page's kubectl commands, in blocks and in running text.
func kubectlLines(page string) (all []string) {
	for _, m := range fenced.FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(strings.ReplaceAll(m[2], "\\\n", " ")) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
			if strings.HasPrefix(line, "kubectl ") {
				all = append(all, line)
			}
		}
	}
	for _, m := range kubectlSpan.FindAllStringSubmatch(page, -1) {
		all = append(all, m[1])
	}
	return all
}

// kubectl has kubectl itself read a line, up to a pipe or the shell's end of it.
func kubectl(line string) error {
	line, _, _ = strings.Cut(line, " | ")
	line, _, _ = strings.Cut(line, " -- ") // what is run in a container
	args := words(strings.TrimSuffix(strings.TrimSpace(line), " &"))[1:]
	command, rest, err := cmd.NewDefaultKubectlCommand().Find(args)
	if err != nil {
		return err
	}
	return command.ParseFlags(rest)
}

// TestKubectlReadsEveryLine of every page, with its own commands and flags.
func TestKubectlReadsEveryLine(t *testing.T) {
	pages, err := filepath.Glob(root + "docs/*.md")
	require.NoError(t, err)
	lines := 0
	for _, page := range append(pages, root+"README.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, line := range kubectlLines(string(text)) {
			lines++
			require.NoError(t, kubectl(line), "%s: %s", page, line)
		}
	}
	require.Greater(t, lines, 20)
	require.Error(t, kubectl("kubectl -n keda explode"))
	require.Error(t, kubectl("kubectl get pods --wide"))
}
