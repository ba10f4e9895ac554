package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHelpNeedsNoOtherDocument goes through all commands.
func TestHelpNeedsNoOtherDocument(t *testing.T) {
	root := newRoot(os.LookupEnv)
	for _, cmd := range append(root.Commands(), root) {
		require.Contains(t, cmd.UsageString(), "Usage:\n  keda-otel-scaler", cmd.Name())
		require.Contains(t, cmd.Example, "keda-otel-scaler ", cmd.Name())
		require.Contains(t, strings.ToLower(cmd.Long), "exit code", cmd.Name())
		require.True(t, cmd.ValidArgsFunction != nil || cmd.ValidArgs != nil, "%s: files are no arguments of it", cmd.Name())
	}
}

func TestCompletion(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"__complete", "check", "--output", ""}, "text\tfor people and editors\njson\tfor programs\n:4\n"},
		{[]string{"__complete", "--on-missing", ""}, "hold\tas long as it may hide load\nzero\t0 and inactive\nerror\tKEDA and the HPA hold\nvalue\tthat of --value-if-not-found\n:4\n"},
		{[]string{"__complete", "serve", "--log-format", ""}, "text\tfor people\njson\tfor collectors\n:4\n"},
		{[]string{"__complete", "query", "-o", ""}, "table\tfor people\njson\tas the server sent it\n:4\n"},
		{[]string{"__complete", "ren"}, "render\tPrint what KServe makes of an InferenceService\n:4\n"},
		{[]string{"__complete", "explain", ""}, ":4\n"},
		{[]string{"__complete", "completion", "f"}, "fish\n:4\n"},
		{[]string{"__complete", "check", "-f", ""}, "yaml\nyml\njson\n:8\n"},
	} {
		var stdout, stderr bytes.Buffer
		require.Zero(t, run(t.Context(), tc.args, &stdout, &stderr))
		require.Equal(t, tc.want, stdout.String(), tc.args)
	}
	for shell, want := range map[string]string{
		"bash": "complete -o default -F __start_keda-otel-scaler keda-otel-scaler", "zsh": "#compdef keda-otel-scaler",
		"fish": "complete -c keda-otel-scaler", "powershell": "Register-ArgumentCompleter -CommandName 'keda-otel-scaler'",
	} {
		var stdout, stderr bytes.Buffer
		require.Zero(t, run(t.Context(), []string{"completion", shell}, &stdout, &stderr))
		require.Contains(t, stdout.String(), want)
	}
	for _, args := range [][]string{{"completion"}, {"completion", "csh"}, {"completion", "bash", "zsh"}} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 1, run(t.Context(), args, &stdout, &stderr))
		require.Contains(t, stderr.String(), "write for example keda-otel-scaler completion bash")
	}
}
