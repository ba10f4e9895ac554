package serve

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPrometheusVersionIsThatOfTheModule(t *testing.T) {
	output, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "github.com/prometheus/prometheus").Output()
	require.NoError(t, err)
	// v0.316.0 is 3.16.0
	require.Equal(t, strings.TrimSpace(string(output)), "v0."+strings.Replace(prometheusVersion, ".", "", 1))
}
