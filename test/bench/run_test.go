package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/report"
)

// TestQuick runs every section at its smallest, against the real binary.
func TestQuick(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the product")
	}
	path := filepath.Join(t.TempDir(), "BENCHMARKS.md")
	o, err := parseOptions([]string{"-quick", "-write=" + path}, os.Stderr)
	require.NoError(t, err)
	var table, progress bytes.Buffer
	require.NoError(t, run(t.Context(), o, &table, &progress), progress.String())

	page, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, want := range []string{
		"gateway: keda-otel-scaler / pdata",
		"sidecar: keda-otel-scaler / bytes",
		"1k series: keda-otel-scaler / constant, p50",
		"Export to stream message, p99",
		"10k series x 12 samples: a series",
		"10k series x 24 samples: a series, collected",
		"Export of known series beside 10k new ones, p99",
		"100 streams / none",
	} {
		require.Contains(t, table.String(), want)
		require.Contains(t, string(page), want)
	}
	require.NotContains(t, table.String(), "NaN")
	require.NotContains(t, string(page), os.TempDir(), "a page is for other machines, too")
	for _, s := range measured {
		require.Equal(t, 1, strings.Count(string(page), "\n## "+s.title+"\n\n"+s.method), s.name)
	}
}

func TestRunTellsWhereTheRepositoryIsMissing(t *testing.T) {
	err := run(t.Context(), options{root: t.TempDir(), rounds: 1, quick: true}, &bytes.Buffer{}, &bytes.Buffer{})
	require.ErrorContains(t, err, "-root: the repository to measure is not there")
}

func TestRunLooksForTheFolderToWriteToBeforeItMeasures(t *testing.T) {
	o := options{root: "../..", rounds: 1, quick: true, write: filepath.Join(t.TempDir(), "none", "page.md")}
	require.ErrorIs(t, run(t.Context(), o, &bytes.Buffer{}, &bytes.Buffer{}), os.ErrNotExist)
}

func TestRunStopsWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, run(ctx, options{root: "../..", rounds: 1, quick: true}, &bytes.Buffer{}, &bytes.Buffer{}))
}

func TestWriteReplacesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	require.NoError(t, write(path, report.Page{Command: "new"}))
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(page), "new")
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing temporary is left")
}

func TestSectionsAreAllMeasured(t *testing.T) {
	names := make([]string, len(measured))
	for i, s := range measured {
		names[i] = s.name
	}
	require.Equal(t, sections, names)
}
