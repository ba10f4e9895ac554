package main

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/buildinfo"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// buildFlags make a file that is the same wherever it is built; git's commit
// comes into it where there is one.
var buildFlags = []string{"-trimpath", "-buildvcs=auto", "-ldflags=-s -w"}

// build makes the program for a Linux architecture.
func build(ctx context.Context, root, architecture, to string) error {
	args := slices.Concat([]string{"build", "-o", to}, buildFlags, []string{"./cmd/keda-otel-scaler"})
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = root
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture)
	command.Stderr = os.Stderr
	return command.Run()
}

const (
	entrypoint = "/keda-otel-scaler"
	user       = "65532:65532" // by number, so that Kubernetes can tell that it is not root, and no /etc/passwd is needed
)

// newImage is the program on nothing else. There are no authorities' certificates:
// what it asks over TLS, a receiver of its spans, is the cluster's own, and
// OTEL_EXPORTER_OTLP_CERTIFICATE names who issued that one's.
func newImage(binary, architecture string) (v1.Image, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	stamp := map[string]string{}
	for _, setting := range info.Settings {
		stamp[setting.Key] = setting.Value
	}
	created, err := time.Parse(time.RFC3339, stamp["vcs.time"])
	if err != nil {
		created = time.Unix(0, 0).UTC() // built outside of a repository
	}
	layer, err := newLayer(binary, created)
	if err != nil {
		return nil, err
	}
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	image, err = mutate.Append(image, mutate.Addendum{Layer: layer, MediaType: types.OCILayer, History: v1.History{
		Created: v1.Time{Time: created}, CreatedBy: "deploy/image",
	}})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(image, configure(config.DeepCopy(), architecture, created, map[string]string{
		"org.opencontainers.image.title":    "keda-otel-scaler",
		"org.opencontainers.image.source":   "https://github.com/keda-otel-scaler/keda-otel-scaler",
		"org.opencontainers.image.licenses": "Apache-2.0",
		"org.opencontainers.image.version":  info.Main.Version,
		"org.opencontainers.image.revision": stamp["vcs.revision"],
	}))
}

// configure says what runs, as whom, and what is asked of it where.
func configure(config *v1.ConfigFile, architecture string, created time.Time, labels map[string]string) *v1.ConfigFile {
	config.OS, config.Architecture = "linux", architecture
	config.Created = v1.Time{Time: created}
	config.Config = v1.Config{
		Entrypoint: []string{entrypoint},
		User:       user,
		Labels:     labels,
		ExposedPorts: map[string]struct{}{
			"4317/tcp": {}, "4318/tcp": {}, "4319/tcp": {}, "8080/tcp": {}, "9090/tcp": {},
		},
	}
	return config
}

// newLayer is a file system with one file.
func newLayer(binary string, created time.Time) (v1.Layer, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: entrypoint[1:], Mode: 0o755, Size: int64(len(content)), ModTime: created, Format: tar.FormatPAX}); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
}

// newIndex is the image of all architectures.
func newIndex(images map[string]v1.Image) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, architecture := range slices.Sorted(maps.Keys(images)) { // the digest is over their order
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: images[architecture], Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: architecture},
		}})
	}
	return index
}
