package helm

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

type collector struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Spec     struct {
		Mode   string
		Config map[string]any
	}
}

// documents are those of a YAML file.
func documents(text string) []string {
	return strings.Split(text, "\n---\n")
}

// collectors are the OpenTelemetryCollectors of an example, of which every
// document is valid.
func collectors(t *testing.T, file string) (all []collector) {
	t.Helper()
	for _, text := range documents(read(t, file)) {
		checkObject(t, text)
		var c collector
		require.NoError(t, yaml.Unmarshal([]byte(text), &c))
		if c.Kind == "OpenTelemetryCollector" {
			all = append(all, c)
		}
	}
	return all
}

// TestExamplesPushToTheService has them meet the chart's Service, and pipelines
// name what is configured.
func TestExamplesPushToTheService(t *testing.T) {
	files, err := filepath.Glob(deploy + "/examples/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		for _, c := range collectors(t, file) {
			exporter := c.Spec.Config["exporters"].(map[string]any)["otlp"].(map[string]any)
			require.Equal(t, "keda-otel-scaler.keda.svc:4317", exporter["endpoint"], file)
			pipelines := c.Spec.Config["service"].(map[string]any)["pipelines"].(map[string]any)
			for _, parts := range pipelines {
				for kind, names := range parts.(map[string]any) {
					for _, name := range names.([]any) {
						require.Contains(t, c.Spec.Config[kind], name, file)
					}
				}
			}
		}
	}
}

// TestSidecarIsKServes compares it with what test/e2e runs in a real Collector.
func TestSidecarIsKServes(t *testing.T) {
	text := strings.NewReplacer(
		"${env:SCRAPE_INTERVAL}", "5s", "${env:SCRAPE_TARGET}", "localhost:8080",
		"${env:SCALER_ENDPOINT}", "keda-otel-scaler.keda.svc:4317", "${env:METRIC_NAMES}", "[vllm:num_requests_running]",
	).Replace(read(t, "../e2e/sidecar/testdata/kserve.yaml"))
	want := map[string]any{}
	require.NoError(t, yaml.Unmarshal([]byte(text), &want))
	delete(want["service"].(map[string]any), "telemetry") // the tests' own
	got := collectors(t, deploy+"/examples/sidecar.yaml")
	require.Len(t, got, 1)
	require.Equal(t, "sidecar", got[0].Spec.Mode)
	require.Equal(t, want, got[0].Spec.Config)
}

// TestManifests holds what is for those without Helm to Kubernetes, too. Whether
// it is current CI asks git.
func TestManifests(t *testing.T) {
	text := read(t, deploy+"/manifests/keda-otel-scaler.yaml")
	all := documents(text)
	require.Len(t, all, 1+len(render(t, "").Objects), "a comment, and what the chart has")
	for _, object := range all[1:] {
		checkObject(t, object)
	}
	require.NotContains(t, text, "Helm\n", "nobody's release")
}
