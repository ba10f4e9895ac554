package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRenderEveryOption compares with what test/kserve found equal to what
// KServe's controller makes; -update writes it.
func TestRenderEveryOption(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"render", "-f", "testdata/render/options.yaml"}, &stdout, &stderr), stderr.String())
	require.Empty(t, stderr.String())
	golden(t, "testdata/render/options.golden", stdout.String())
}

func TestRender(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		code       int
		stdout     string
		stderr     string
	}{
		{name: "no InferenceService", text: fine, code: 1, stderr: "keda-otel-scaler: there is no InferenceService in what was read; give one, for example -f isvc.yaml\n"},
		{name: "no YAML", text: broken, code: 2, stderr: ":1:1: not YAML: mapping values are not allowed in this context\n"},
		{
			name: "none is made", code: 1, stderr: `a-predictor has no ScaledObject: KServe makes none in deployment mode "Knative"`,
			text: "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: a}\nspec: {predictor: {}}\n",
		},
		{
			name: "refused", code: 1, stdout: "kind: ScaledObject\n", stderr: `"cpus" is none of cpu, memory`,
			text: "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: a, annotations: {serving.kserve.io/deploymentMode: Standard, serving.kserve.io/autoscalerClass: keda}}\n" +
				"spec: {predictor: {maxReplicas: 2, autoScaling: {metrics: [{type: Resource, resource: {name: cpus, target: {type: Utilization, averageUtilization: 5}}}]}}}\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "isvc.yaml")
			require.NoError(t, os.WriteFile(file, []byte(tc.text), 0o600))
			var stdout, stderr bytes.Buffer
			require.Equal(t, tc.code, run(t.Context(), []string{"render", "-f", file}, &stdout, &stderr))
			require.Contains(t, stdout.String(), tc.stdout)
			require.Contains(t, stderr.String(), tc.stderr)
		})
	}
}
