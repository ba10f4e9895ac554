package helm

import (
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/stretchr/testify/require"
)

// TestDashboardIsGrafanas reads it with Grafana's own types, strictly: the
// dashboard, and each panel's options and queries by what its plugins know.
func TestDashboardIsGrafanas(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	var d dashboard.Dashboard //nolint:staticcheck // files and the sidecar that loads them are of the first version
	// Its error is a list of faults, never nil, and without any all is well.
	require.Empty(t, d.UnmarshalJSONStrict([]byte(read(t, deploy+"/dashboards/keda-otel-scaler.json"))))
	require.NoError(t, d.Validate())
}
