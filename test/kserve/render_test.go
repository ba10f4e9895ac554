package kserve

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// binary is the product.
var binary string

func TestMain(m *testing.M) { os.Exit(withBinary(m.Run)) }

func withBinary(run func() int) int {
	dir, err := os.MkdirTemp("", "kserve")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "keda-otel-scaler")
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", binary, "./cmd/keda-otel-scaler").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return run()
}

// product runs a command of the product's on an InferenceService.
func product(t *testing.T, command, text string, config *corev1.ConfigMap) (stdout, stderr string, code int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	body, err := yaml.Marshal(config)
	require.NoError(t, err)
	body = append([]byte("apiVersion: v1\nkind: ConfigMap\n"), regexp.MustCompile(`(?m)^(apiVersion|kind): .*\n`).ReplaceAll(body, nil)...)
	require.NoError(t, os.WriteFile(file, body, 0o600))
	cmd := exec.CommandContext(t.Context(), binary, command, "-f", "-", "--kserve-config", file)
	cmd.Stdin = strings.NewReader(text)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	_ = cmd.Run()
	return out.String(), problems.String(), cmd.ProcessState.ExitCode()
}

// rendered are the objects that the product prints.
func rendered(t *testing.T, text string, config *corev1.ConfigMap) map[string]any {
	t.Helper()
	stdout, stderr, code := product(t, "render", text, config)
	require.Zero(t, code, stderr)
	all := make(map[string]any)
	for _, document := range strings.Split(stdout, "\n---\n") {
		var object map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(document), &object))
		put(all, object)
	}
	return all
}

// ofRuntime are the annotations that a ServingRuntime adds, which a file doesn't
// tell.
var ofRuntime = []string{"prometheus.kserve.io/port", "prometheus.kserve.io/path"}

// withoutRuntime takes from an object what only the cluster knew.
func withoutRuntime(object any) any {
	metadata, _ := object.(map[string]any)["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	for _, key := range ofRuntime {
		delete(annotations, key)
	}
	return object
}

func TestRenderIsWhatTheControllerMakes(t *testing.T) {
	for _, tc := range cases(t) {
		t.Run(tc.name, func(t *testing.T) {
			config := shippedConfig(t)
			for key, value := range tc.config {
				config.Data[key] = value
			}
			want, got := controller(t, tc.text, config), rendered(t, tc.text, config)
			require.NotEmpty(t, want)
			for key := range want {
				withoutRuntime(want[key])
			}
			for key := range got {
				withoutRuntime(got[key])
			}
			require.Equal(t, want, got)
		})
	}
}

func TestCheckRefusesWhatTheWebhookRefuses(t *testing.T) {
	for _, tc := range refused {
		t.Run(tc.name, func(t *testing.T) {
			text := service(tc.component, tc.annotations)
			config := shippedConfig(t)
			_, err := isvc(t, text, config)
			require.ErrorContains(t, err, tc.webhook)
			stdout, stderr, code := product(t, "check", text, config)
			require.Equal(t, 1, code, stdout+stderr)
			require.Contains(t, stdout, tc.check)
		})
	}
}
