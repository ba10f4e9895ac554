// Package rules runs promtool's tests of the alert rules.
package rules

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/binary"
)

func TestAlertRules(t *testing.T) {
	promtool, err := binary.Promtool(t.Context())
	require.NoError(t, err)
	root, err := binary.Root()
	require.NoError(t, err)
	for _, args := range [][]string{{"check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		command := exec.CommandContext(t.Context(), promtool, args...)
		command.Dir = filepath.Join(root, "..", "..", "deploy", "dashboards")
		output, err := command.CombinedOutput()
		require.NoError(t, err, "promtool %v\n%s", args, output)
	}
}
