package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// pages are the documents whose blocks are tried.
func pages(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return append(all, "../../README.md")
}

var fenced = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```")

// blocks are the fenced ones of a page in some languages.
func blocks(t *testing.T, page string, languages ...string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, m := range fenced.FindAllStringSubmatch(string(text), -1) {
		for _, language := range languages {
			if m[1] == language {
				all = append(all, m[2])
			}
		}
	}
	return all
}

// TestYAMLInDocsIsFine checks each block as people would, strictly. One that
// begins with its triggers is put into a ScaledObject; one that has nothing to do
// with scaling is YAML at least.
func TestYAMLInDocsIsFine(t *testing.T) {
	found := 0
	for _, page := range pages(t) {
		for _, block := range blocks(t, page, "yaml") {
			if strings.HasPrefix(block, "triggers:") {
				block = head + "  " + strings.ReplaceAll(strings.TrimSpace(block), "\n", "\n  ") + "\n"
			}
			file := filepath.Join(t.TempDir(), "block.yaml")
			require.NoError(t, os.WriteFile(file, []byte(block), 0o600))
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), []string{"check", "--strict", "-f", file}, &stdout, &stderr)
			require.Zero(t, code, "%s: %s\n%s%s", page, block, &stdout, &stderr)
			if strings.Contains(stdout.String(), "1 object, 0 objects of other kinds") {
				found++
			}
		}
	}
	require.GreaterOrEqual(t, found, 16, "14 recipes, and README's triggers")
}

var (
	// ours finds this program's command lines in what a shell is given, up to where
	// the shell goes on to something else.
	ours = regexp.MustCompile("(?m)(?:^|[$|&(] ?|; )(?:[A-Z_]+=\\S+ )*keda-otel-scaler ((?:'[^']*'|\"[^\"]*\"|[^'\"|&;<>\n#)])*)")
	// spans are command lines in a sentence.
	spans = regexp.MustCompile("`(keda-otel-scaler [^`]+)`")
)

// TestCommandsInDocsAreRight parses each command line with the real flags, and
// checks its arguments as the command itself would, without running it.
func TestCommandsInDocsAreRight(t *testing.T) {
	found := make(map[string]int)
	try := func(where, text string) {
		for _, m := range ours.FindAllStringSubmatch(strings.ReplaceAll(text, "\\\n", " "), -1) {
			name, err := parses(words(m[1]))
			require.NoError(t, err, "%s: keda-otel-scaler %s", where, m[1])
			found[name]++
		}
	}
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range spans.FindAllStringSubmatch(fenced.ReplaceAllString(string(text), ""), -1) {
			try(page, strings.ReplaceAll(m[1], "\n", " "))
		}
		for _, block := range blocks(t, page, "sh", "console") {
			try(page, block)
		}
	}
	root := newRoot(os.LookupEnv)
	for _, cmd := range append(root.Commands(), root) {
		try(cmd.CommandPath()+" --help", strings.ReplaceAll(cmd.Example, "  keda", "keda"))
	}
	for _, name := range []string{"check", "render", "query", "explain", "keda-otel-scaler"} {
		require.NotZero(t, found[name], "nothing is found of %s: %v", name, found)
	}
}

// parses tells which command a line is for.
func parses(args []string) (string, error) {
	root := newRoot(os.LookupEnv)
	cmd, rest, err := root.Find(args)
	if err != nil {
		return "", err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return "", err
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil || cmd.Name() != "query" || cmd.Flags().NArg() == 0 {
		return cmd.Name(), err
	}
	_, err = parser.NewParser(parser.Options{}).ParseExpr(cmd.Flags().Arg(0))
	return cmd.Name(), err
}

// words are a line's, with quotes taken off as a shell does.
func words(line string) (all []string) {
	for _, word := range regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`).FindAllString(line, -1) {
		all = append(all, regexp.MustCompile(`'([^']*)'|"([^"]*)"`).ReplaceAllString(word, "$1$2"))
	}
	return all
}

// theirs are flags of other programs that the pages speak of.
var theirs = []string{"--enable-metrics", "--max-batch-total-tokens", "--metrics-config", "--zap-log-level", "--zap-stacktrace-level", "--zap-"}

// TestFlagsInDocsAreThere looks for each flag that a sentence names.
func TestFlagsInDocsAreThere(t *testing.T) {
	known := make(map[string]bool)
	root := newRoot(os.LookupEnv)
	for _, cmd := range append(root.Commands(), root) {
		cmd.InitDefaultHelpFlag()
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			known["--"+f.Name] = true
			if group, _, ok := strings.Cut(f.Name, "tls-"); ok {
				known["--"+group+"tls-"] = true // as in --http-tls-...
			}
		})
	}
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile("`(--[a-z-]+)").FindAllStringSubmatch(string(text), -1) {
			require.True(t, known[m[1]] || slices.Contains(theirs, m[1]), "%s: there is no flag %s", page, m[1])
		}
	}
}

// TestFiguresOfTuningAreMeasured: what is in bold and has a unit is in the
// benchmarks' page as well. After a new run of them, correct TUNING.md.
func TestFiguresOfTuningAreMeasured(t *testing.T) {
	tuning, err := os.ReadFile("../../docs/TUNING.md")
	require.NoError(t, err)
	benchmarks, err := os.ReadFile("../../docs/BENCHMARKS.md")
	require.NoError(t, err)
	figures := regexp.MustCompile(`\*\*(\d\S* \S+)\*\*`).FindAllStringSubmatch(string(tuning), -1)
	require.NotEmpty(t, figures)
	for _, m := range figures {
		require.Regexp(t, `[^\d.]`+regexp.QuoteMeta(m[1]), string(benchmarks), "TUNING.md says %s, which BENCHMARKS.md does not", m[1])
	}
}

// TestRunbooksAreThere: the alerts link to headings that are there, and each
// tells what to run.
func TestRunbooksAreThere(t *testing.T) {
	rules, err := os.ReadFile("../../deploy/dashboards/alerts.yaml")
	require.NoError(t, err)
	text, err := os.ReadFile("../../docs/TROUBLESHOOTING.md")
	require.NoError(t, err)
	links := regexp.MustCompile(`runbook_url: \S+/docs/TROUBLESHOOTING\.md#(\S+)`).FindAllStringSubmatch(string(rules), -1)
	require.Len(t, links, strings.Count(string(rules), "- alert:"))
	sections := make(map[string]string)
	for _, section := range regexp.MustCompile(`(?m)^#+ `).Split(string(text), -1) {
		title, body, _ := strings.Cut(section, "\n")
		sections[anchor(title)] = body
	}
	for _, link := range links {
		body := sections[link[1]]
		for _, part := range []string{"**You see**", "**Why**", "**Run**", "**Change**"} {
			require.Contains(t, body, part, link[1])
		}
	}
}

// TestTestsInDocsAreThere: what a page says is shown by a test has that test.
func TestTestsInDocsAreThere(t *testing.T) {
	there := make(map[string]bool)
	require.NoError(t, filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && entry.Name() == ".cache" {
			return filepath.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path) //nolint:gosec // of this repository
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w*)\(`).FindAllStringSubmatch(string(source), -1) {
			there[m[1]] = true
		}
		return err
	}))
	found := 0
	for _, page := range append(pages(t), "../../CONTRIBUTING.md", "../../test/e2e/README.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)").FindAllStringSubmatch(string(text), -1) {
			require.True(t, there[m[1]], "%s: there is no %s", page, m[1])
			found++
		}
	}
	require.NotZero(t, found)
}

// TestReadmeLinksEveryPage, or a newcomer never learns of it.
func TestReadmeLinksEveryPage(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	for _, page := range pages(t) {
		if name := filepath.Base(page); name != "README.md" {
			require.Contains(t, string(readme), "\n- [docs/"+name+"](docs/"+name+"): ")
		}
	}
}

// TestLinksInDocs: files are there, and so are headings.
func TestLinksInDocs(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:\s]*)(#[^)\s]+)?\)`)
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			file := page
			if m[1] != "" {
				file = filepath.Join(filepath.Dir(page), m[1])
			}
			body, err := os.ReadFile(file)
			if info, statErr := os.Stat(file); statErr == nil && info.IsDir() {
				continue
			}
			require.NoError(t, err, page)
			if m[2] == "" {
				continue
			}
			var anchors []string
			for _, title := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(body), -1) {
				anchors = append(anchors, "#"+anchor(title[1]))
			}
			require.Contains(t, anchors, m[2], "%s: %s", page, m[0])
		}
	}
}

// anchor is what GitHub makes of a heading.
func anchor(title string) string {
	title = strings.ToLower(strings.TrimSpace(title))
	title = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(title, "")
	return strings.ReplaceAll(title, " ", "-")
}

// TestReadmesCheckIsTrue runs what README shows of check.
func TestReadmesCheckIsTrue(t *testing.T) {
	const command = "$ keda-otel-scaler check -f scaledobject.yaml\n"
	shown := blocks(t, "../../README.md", "console")
	i := slices.IndexFunc(shown, func(block string) bool { return strings.HasPrefix(block, command) })
	require.GreaterOrEqual(t, i, 0)
	want, _, _ := strings.Cut(strings.TrimPrefix(shown[i], command), "$ ")

	text, err := os.ReadFile("testdata/check/scaledobject.yaml")
	require.NoError(t, err)
	mended := strings.NewReplacer("[1m)", "[1m])", "targetValue: 400", `targetValue: "400"`).Replace(string(text))
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("scaledobject.yaml", []byte(mended), 0o600))
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitFaults, run(t.Context(), []string{"check", "-f", "scaledobject.yaml"}, &stdout, &stderr))
	require.Equal(t, want, stdout.String())
}
