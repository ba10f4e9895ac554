package serve

import (
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

const repository = "../../"

// greps finds what a runbook looks for in /metrics, or in our log.
var greps = regexp.MustCompile(`(?m)^(curl -s localhost:8080/metrics|kubectl -n keda logs deploy/keda-otel-scaler) \| grep (?:-([EF]) )?(?:'([^']+)'|"([^"]+)"|(\S+))`)

// TestRunbooksFindWhatTheyLookFor: each alternative of a pattern is in a scrape,
// and a text to find in the log is one that some source has.
func TestRunbooksFindWhatTheyLookFor(t *testing.T) {
	page, err := os.ReadFile(repository + "docs/TROUBLESHOOTING.md")
	require.NoError(t, err)
	metrics, found := scrape(t), map[string]int{}
	for _, m := range greps.FindAllStringSubmatch(string(page), -1) {
		where, mode, pattern := m[1], m[2], m[3]+m[4]+m[5]
		found[where[:4]]++
		if strings.HasPrefix(where, "kubectl") {
			require.True(t, logged(t, pattern), "nothing logs %q", pattern)
			continue
		}
		alternatives := []string{pattern}
		if mode == "E" {
			alternatives = expand(pattern)
		}
		for _, one := range alternatives {
			require.Regexp(t, "(?m)"+one, metrics, "of %s", pattern)
		}
	}
	require.Greater(t, found["curl"], 5)
	require.NotZero(t, found["kube"])
}

// expand makes one pattern for each way through a pattern's alternatives, which
// are at its top or in one pair of parentheses at a time.
func expand(pattern string) (all []string) {
	depth, begin := 0, 0
	for i, c := range pattern + "|" {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '|' && depth == 0:
			all = append(all, inner(pattern[begin:i])...)
			begin = i + 1
		}
	}
	return all
}

func inner(pattern string) (all []string) {
	before, rest, ok := strings.Cut(pattern, "(")
	if !ok {
		return []string{pattern}
	}
	choices, after, _ := strings.Cut(rest, ")")
	for choice := range strings.SplitSeq(choices, "|") {
		all = append(all, inner(before+choice+after)...)
	}
	return all
}

func TestExpand(t *testing.T) {
	require.Equal(t, []string{"a1", "a2", "b", "c3d5", "c3d6", "c4d5", "c4d6"}, expand("a(1|2)|b|c(3|4)d(5|6)"))
}

// logged tells whether the product's sources have a text.
func logged(t *testing.T, text string) (found bool) {
	t.Helper()
	for _, folder := range []string{"internal", "otlpreceiver", "query", "scaler", "store"} {
		require.NoError(t, filepath.WalkDir(repository+folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path) //nolint:gosec // of this repository
			found = found || strings.Contains(string(source), text)
			return err
		}))
	}
	return found
}

// TestReadmesCurl asks as README does about a ScaledObject that KEDA has asked for.
func TestReadmesCurl(t *testing.T) {
	page, err := os.ReadFile(repository + "README.md")
	require.NoError(t, err)
	m := regexp.MustCompile(`(?m)^curl -H '([^:]+): ([^']+)' -d '([^']+)' \\\n  http://localhost:9090(\S+)$`).FindStringSubmatch(string(page))
	require.NotNil(t, m)
	i := start(t, "--warm-up=0")
	_, err = pmetricotlp.NewGRPCClient(dialGRPC(t, i.OTLPGRPC)).Export(t.Context(), push("queue_length", 42))
	require.NoError(t, err)
	asked := object()
	asked.Namespace, asked.Name = "default", "huggingface-fbopt-predictor"
	_, err = pb.NewExternalScalerClient(dialGRPC(t, i.KEDAGRPC)).GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: asked})
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+i.HTTP.String()+m[4], strings.NewReader(m[3]))
	require.NoError(t, err)
	request.Header.Set(m[1], m[2])
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	require.Contains(t, string(body), "active: 42 of target 5 a replica")
	_, err = i.wait(t)
	require.NoError(t, err)
}
