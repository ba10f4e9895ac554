package helm

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"sigs.k8s.io/yaml"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/helm/chart"
)

func TestRenderedIsGolden(t *testing.T) {
	for name, values := range values(t) {
		t.Run(name, func(t *testing.T) {
			rendered := render(t, values)
			got := strings.Join(rendered.Objects, "---\n") + "--- # NOTES.txt\n" + rendered.Notes
			file := "testdata/golden/" + name + ".txt"
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
			}
			require.Equal(t, read(t, file), got, "run go test -update if the difference is wanted")
		})
	}
}

// TestLint is helm lint --strict, but for the icon that it wants.
func TestLint(t *testing.T) {
	for name, text := range values(t) {
		t.Run(name, func(t *testing.T) {
			var values map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(text), &values))
			version, err := chartutil.ParseKubeVersion(chart.Kubernetes)
			require.NoError(t, err)
			for _, message := range lint.AllWithKubeVersion(chartDir, values, release.Namespace, version).Messages {
				if message.Severity > support.InfoSev {
					t.Error(message.Error())
				}
			}
		})
	}
}
