// Package helm holds the chart to what it promises: for each values file of
// testdata, what is rendered is what testdata/golden has, is valid to
// Kubernetes, passes the restricted Pod Security profile, and starts the program.
package helm

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/helm/chart"
)

const (
	deploy   = "../../deploy"
	chartDir = deploy + "/helm/keda-otel-scaler"
)

var update = flag.Bool("update", false, "write testdata/golden anew")

var release = chart.Release{Name: "keda-otel-scaler", Namespace: "keda"}

// values are the files of testdata, by what they show.
func values(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all := map[string]string{}
	for _, file := range files {
		all[strings.TrimSuffix(filepath.Base(file), ".yaml")] = read(t, file)
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

func render(t *testing.T, values string) chart.Rendered {
	t.Helper()
	rendered, err := chart.Render(chartDir, values, release)
	require.NoError(t, err)
	return rendered
}
