package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	// userPage is the page of KServe's documentation that we are to serve, and
	// rendered what KServe makes of its three examples.
	userPage = "../../test/e2e/testdata/kserve-keda-autoscaling.md"
	rendered = "../../internal/kserve/testdata"
)

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// TestCheckText compares with what a person has found readable; -update writes it.
func TestCheckText(t *testing.T) {
	t.Chdir("testdata/check")
	for _, name := range []string{"scaledobject", "isvc"} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			require.Equal(t, exitFaults, run(t.Context(), []string{"check", "-f", name + ".yaml"}, &stdout, &stderr))
			require.Empty(t, stderr.String())
			golden(t, name+".txt", stdout.String())
		})
	}
}

const (
	head    = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: a}\nspec:\n  scaleTargetRef: {name: a}\n"
	trigger = "  triggers: [{type: external, metadata: {scalerAddress: \"keda-otel-scaler:4318\", metricQuery: sum(x), targetValue: \"1\"}}]\n"
	fine    = head + trigger
	odd     = head + "  minReplicaCount: 1\n  pollingInterval: 5\n" + trigger
	faulty  = head + "  minReplicaCount: -1\n" + trigger
	broken  = "a: b: c\n"
)

func TestCheckExitCodes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		files  []string // their text
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{name: "fine", files: []string{fine}, stdout: "1 object, 0 objects of other kinds: 0 errors, 0 warnings\n"},
		{name: "nothing that is checked", files: []string{"kind: Service\n"}, stdout: "0 objects, 1 object of other kinds: 0 errors, 0 warnings\n"},
		{name: "a warning", files: []string{odd}, stdout: "1 object, 0 objects of other kinds: 0 errors, 1 warning\n"},
		{name: "a warning, strictly", files: []string{odd}, args: []string{"--strict"}, code: 1, stdout: ":7:20: warning: "},
		{name: "an error", files: []string{faulty, fine}, code: 1, stdout: "2 objects, 0 objects of other kinds: 1 error, 0 warnings\n"},
		{name: "no YAML", files: []string{faulty + "---\n" + broken}, code: 2, stdout: "1 object, 0 objects of other kinds: 1 unreadable, 1 error, 0 warnings\n"},
		{name: "no file", args: []string{"-f", "nowhere.yaml"}, code: 2, stderr: "keda-otel-scaler: stat nowhere.yaml: no such file or directory\n"},
		{name: "nothing", code: 2, stderr: "keda-otel-scaler: nothing to read; give files, for example -f scaledobject.yaml, or -f - for the standard input\n"},
		{name: "no such flag", files: []string{fine}, args: []string{"--fix"}, code: 2, stderr: "keda-otel-scaler: unknown flag: --fix\n"},
		{name: "a file without its flag", args: []string{"a.yaml"}, code: 2, stderr: "keda-otel-scaler: unknown argument \"a.yaml\"; write -f a.yaml\n"},
		{name: "no form", files: []string{fine}, args: []string{"-o", "xml"}, code: 2, stderr: "keda-otel-scaler: --output=xml: want text or json, for example --output=json\n"},
		{name: "no settings", files: []string{fine}, args: []string{"--kserve-config", "nowhere.yaml"}, code: 2, stderr: "keda-otel-scaler: --kserve-config: open nowhere.yaml: no such file or directory\n"},
		{name: "its own namespace", files: []string{strings.Replace(fine, "sum(x)", "'sum(x{ns=\"a\"})'", 1)}, args: []string{"-n", "a", "--enforce-namespace-label", "ns"}, stdout: ": 0 errors, 0 warnings"},
		{name: "another namespace", files: []string{strings.Replace(fine, "sum(x)", "'sum(x{ns=\"a\"})'", 1)}, args: []string{"--enforce-namespace-label", "ns"}, code: 1, stdout: `x{ns="a"} can match nothing`},
		{name: "no label", files: []string{fine}, args: []string{"--enforce-namespace-label", "k8s.namespace.name"}, code: 2, stderr: "keda-otel-scaler: --enforce-namespace-label=k8s.namespace.name: want a label as stored, of letters, digits and _, for example --enforce-namespace-label=namespace\n"},
		{name: "no retention", files: []string{fine}, args: []string{"--max-retention", "0s"}, code: 2, stderr: "keda-otel-scaler: --max-retention=0s: want a duration above 0, for example --max-retention=15m0s\n"},
		{name: "a retention", files: []string{fine}, args: []string{"--max-retention", "1h"}, stdout: ": 0 errors, 0 warnings"},
		{name: "another Service", files: []string{strings.Replace(fine, "keda-otel-scaler:4318", "mine:4317", 1)}, args: []string{"--service", "mine"}, code: 1, stdout: "write scalerAddress: mine:4318"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"check"}, tc.args...)
			for i, text := range tc.files {
				file := filepath.Join(t.TempDir(), string(rune('a'+i))+".yaml")
				require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
				args = append(args, "-f", file)
			}
			var stdout, stderr bytes.Buffer
			require.Equal(t, tc.code, run(t.Context(), args, &stdout, &stderr), stdout.String())
			require.Contains(t, stdout.String(), tc.stdout)
			require.Equal(t, tc.stderr, stderr.String())
		})
	}
}

func TestCheckReadsDirectories(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "below"), 0o750))
	for name, text := range map[string]string{"a.yaml": fine, "b.txt": broken, "below/c.yml": fine, "below/d.json": `{"kind": "Service"}`} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"check", "-f", dir}, &stdout, &stderr), stderr.String())
	require.Equal(t, "2 objects, 1 object of other kinds: 0 errors, 0 warnings\n", stdout.String())
}

func TestCheckJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.yaml")
	require.NoError(t, os.WriteFile(file, []byte(faulty+"---\n"+broken), 0o600))
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitUnread, run(t.Context(), []string{"check", "-o", "json", "-f", file}, &stdout, &stderr))
	var got checked
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &got))
	require.Equal(t, checked{
		Findings: []finding{{
			File: file, Line: 6, Column: 20, Severity: "error", Object: "ScaledObject a", Field: "spec.minReplicaCount",
			Message: `"-1" is no whole number from 0 on`,
		}},
		Unread: []finding{{File: file, Line: 9, Column: 1, Severity: "error", Message: "not YAML: mapping values are not allowed in this context"}},
		Files:  1, Checked: 1, Errors: 1,
	}, got)
}

// TestThePagesExamplesAreFine checks the fixture as people would: the page's
// YAML, and what KServe makes of it.
func TestThePagesExamplesAreFine(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"check", "--strict", "-f", rendered}, &stdout, &stderr), stdout.String())
	require.Equal(t, "3 objects, 1 object of other kinds: 0 errors, 0 warnings\n", stdout.String())
	text, err := os.ReadFile(userPage)
	require.NoError(t, err)
	examples := 0
	for i, block := range strings.Split(string(text), "```yaml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		if !strings.Contains(block, "InferenceService") {
			continue
		}
		examples++
		file := filepath.Join(t.TempDir(), string(rune('a'+i))+".yaml")
		require.NoError(t, os.WriteFile(file, []byte(block), 0o600))
		stdout.Reset()
		require.Zero(t, run(t.Context(), []string{"check", "--strict", "-f", file}, &stdout, &stderr), stdout.String())
		require.Equal(t, "1 object, 0 objects of other kinds: 0 errors, 0 warnings\n", stdout.String())
	}
	require.Equal(t, 3, examples)
}

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("ä", 200)
	for _, tc := range []struct {
		line   string
		column int
		want   string
		at     int
	}{
		{"abc", 2, "abc", 2},
		{"abc", 9, "abc", 4}, // behind its end
		{"\tabc", 2, " abc", 2},
		{long + "x", 201, strings.Repeat("ä", 119) + "x", 120},
		{"x" + long, 1, "x" + strings.Repeat("ä", 119), 1},
	} {
		line, at := excerpt(tc.line, tc.column)
		require.Equal(t, tc.want, line)
		require.Equal(t, tc.at, at)
	}
}
