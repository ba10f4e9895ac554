package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/stretchr/testify/require"
)

// allowed are the licences that ask no more of who ships a binary than to name
// them, and, MPL-2.0, to say where the unchanged source is: the bill does.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0"}

// build makes the release binary out of a checkout, as `make build` does.
func build(t *testing.T, checkout, out string) {
	t.Helper()
	command := exec.Command("make", "build", "BINARY="+out)
	command.Dir = checkout
	text, err := command.CombinedOutput()
	require.NoError(t, err, "%s", text)
}

func built(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "keda-otel-scaler")
	build(t, root, out)
	return out
}

func TestEveryLicenceIsAllowed(t *testing.T) {
	p, err := partsOf(built(t))
	require.NoError(t, err)
	require.NotEmpty(t, p.Modules)
	for _, m := range p.Modules {
		require.NotEmpty(t, m.Licences, m.Path)
		require.Subset(t, allowed, m.Licences, "%s %s", m.Path, m.Version)
	}
}

// TestBillNamesWhatIsLinked and nothing else, whatever go.mod says.
func TestBillNamesWhatIsLinked(t *testing.T) {
	binary, out := built(t), filepath.Join(t.TempDir(), "bill.json")
	require.NoError(t, run(binary, out))
	info, err := buildinfo.ReadFile(binary)
	require.NoError(t, err)
	want := map[string]string{"std": info.GoVersion}
	for _, m := range info.Deps {
		want[m.Path] = m.Version
	}
	file, err := os.Open(out)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	var bom cdx.BOM
	require.NoError(t, cdx.NewBOMDecoder(file, cdx.BOMFileFormatJSON).Decode(&bom))
	got := map[string]string{}
	for _, c := range *bom.Components {
		got[c.Name] = c.Version
	}
	require.Equal(t, want, got)
	require.NotContains(t, got, "github.com/stretchr/testify", "which only tests need")
}

func TestUnknownLicenceIsRefused(t *testing.T) {
	dir := t.TempDir()
	_, err := licencesIn(dir)
	require.ErrorContains(t, err, "no licence that is known")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "LICENSE"), []byte("You may look at this."), 0o600))
	_, err = licencesIn(dir)
	require.ErrorContains(t, err, "no licence that is known")
}

// TestBuildIsReproducible: the same commit in two folders, the same bytes.
func TestBuildIsReproducible(t *testing.T) {
	var digests [2][sha256.Size]byte
	for i := range digests {
		checkout, out := filepath.Join(t.TempDir(), "checkout"), filepath.Join(t.TempDir(), "keda-otel-scaler")
		text, err := exec.Command("git", "clone", "--quiet", root, checkout).CombinedOutput()
		require.NoError(t, err, "%s", text)
		build(t, checkout, out)
		digests[i] = digest(t, out)
	}
	require.Equal(t, digests[0], digests[1])
}

func digest(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return sha256.Sum256(text)
}
