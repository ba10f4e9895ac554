package main

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/require"
)

const root = "../.."

// TestImage builds what is committed, twice and in two folders: the same digest,
// and images that a registry would take, of which this machine's runs.
func TestImage(t *testing.T) {
	folder := t.TempDir()
	architectures := []string{"arm64", "amd64"}
	build := func(name, root string) v1.Hash {
		digest, err := run(t.Context(), options{
			root: root, architectures: architectures, tag: "keda-otel-scaler:test",
			layout: filepath.Join(folder, name), docker: filepath.Join(folder, name+".tar"),
		})
		require.NoError(t, err)
		return digest
	}
	source, revision := committed(t)
	digest := build("first", source)
	source, _ = committed(t)
	require.Equal(t, digest, build("second", source))
	require.Equal(t, sha256.Sum256(read(t, filepath.Join(folder, "first.tar"))), sha256.Sum256(read(t, filepath.Join(folder, "second.tar"))))
	loadable, err := tarball.ImageFromPath(filepath.Join(folder, "first.tar"), nil)
	require.NoError(t, err)
	require.NoError(t, validate.Image(loadable))

	index := fromLayout(t, filepath.Join(folder, "first"), digest)
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	for _, architecture := range architectures {
		image := forMachine(t, index, architecture)
		require.NoError(t, validate.Image(image))
		program := unpack(t, image)
		requireStatic(t, program, machines[architecture])
		config, err := image.ConfigFile()
		require.NoError(t, err)
		require.Equal(t, revision, config.Config.Labels["org.opencontainers.image.revision"])
		if architecture != runtime.GOARCH {
			continue
		}
		output, err := exec.CommandContext(t.Context(), program, "version").Output()
		require.NoError(t, err)
		require.Contains(t, string(output), " "+config.Config.Labels["org.opencontainers.image.version"]+" ")
		require.Contains(t, string(output), "(revision "+revision)
		serves(t, program)
	}
}

// committed is a clone with what is committed, and the commit. A clone: go finds
// no commit in a linked worktree, and what is changed but not committed is
// never the same twice.
func committed(t *testing.T) (folder, revision string) {
	t.Helper()
	folder = t.TempDir()
	git := func(args ...string) string {
		command := exec.CommandContext(t.Context(), "git", args...)
		command.Stderr = os.Stderr
		output, err := command.Output()
		require.NoError(t, err)
		return strings.TrimSpace(string(output))
	}
	git("clone", "--quiet", "--shared", root, folder)
	return folder, git("-C", folder, "rev-parse", "HEAD")
}

// fromLayout is the one index that the layout's tag leads to.
func fromLayout(t *testing.T, folder string, digest v1.Hash) v1.ImageIndex {
	t.Helper()
	index, err := layout.ImageIndexFromPath(folder)
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 1)
	require.Equal(t, digest, manifest.Manifests[0].Digest)
	require.Contains(t, manifest.Manifests[0].Annotations["org.opencontainers.image.ref.name"], "keda-otel-scaler:test")
	index, err = index.ImageIndex(digest)
	require.NoError(t, err)
	require.NoError(t, validate.Index(index))
	return index
}

// forMachine is the image that a kubelet on such a machine would take.
func forMachine(t *testing.T, index v1.ImageIndex, architecture string) v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	for _, m := range manifest.Manifests {
		if m.Platform.String() == "linux/"+architecture {
			image, err := index.Image(m.Digest)
			require.NoError(t, err)
			return image
		}
	}
	require.Fail(t, "there is no image for linux/"+architecture)
	return nil
}

// requireStatic holds a program to its machine, and to need no loader: there is
// none in the image.
func requireStatic(t *testing.T, program string, machine elf.Machine) {
	t.Helper()
	file, err := elf.Open(program)
	require.NoError(t, err)
	defer file.Close()
	require.Equal(t, machine, file.Machine)
	for _, segment := range file.Progs {
		require.NotEqual(t, elf.PT_INTERP, segment.Type)
	}
}

// unpack puts the image's files into a folder and returns its entrypoint there.
func unpack(t *testing.T, image v1.Image) (program string) {
	t.Helper()
	layers, err := image.Layers()
	require.NoError(t, err)
	require.Len(t, layers, 1)
	content, err := layers[0].Uncompressed()
	require.NoError(t, err)
	defer content.Close()
	folder := t.TempDir()
	r := tar.NewReader(content)
	var names []string
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		names = append(names, header.Name)
		file, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, header.Name), file, header.FileInfo().Mode()))
	}
	require.Equal(t, []string{"keda-otel-scaler"}, names, "there is nothing else in it")
	config, err := image.ConfigFile()
	require.NoError(t, err)
	require.Equal(t, "65532:65532", config.Config.User)
	return filepath.Join(folder, config.Config.Entrypoint[0])
}

// serves starts the program on free ports and waits until it says that it is
// ready, as the chart's probe asks.
func serves(t *testing.T, program string) {
	t.Helper()
	args := []string{"--log-format=json"}
	for _, listener := range []string{"otlp-grpc", "otlp-http", "keda", "http", "telemetry"} {
		args = append(args, "--"+listener+"-address=127.0.0.1:0")
	}
	command := exec.CommandContext(t.Context(), program, args...)
	command.Env = []string{} // as in a container that is given none
	log, err := command.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	listening := regexp.MustCompile(`"server":"telemetry","address":"([^"]+)"`)
	var address string
	lines := bufio.NewScanner(log)
	for address == "" && lines.Scan() {
		if match := listening.FindStringSubmatch(lines.Text()); match != nil {
			address = match[1]
		}
	}
	require.NotEmpty(t, address, "it ended before it listened")
	go func() { _, _ = io.Copy(io.Discard, log) }()
	require.Eventually(t, func() bool {
		response, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, 10e9, 50e6)
	require.NoError(t, command.Process.Signal(syscall.SIGTERM))
	require.NoError(t, command.Wait(), "it stops in order")
}

// TestArchitectures has one index for several, whatever order they come in.
func TestArchitectures(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	images := map[string]v1.Image{}
	for _, architecture := range []string{"arm64", "amd64"} {
		images[architecture], err = newImage(self, architecture)
		require.NoError(t, err)
	}
	manifest, err := newIndex(images).IndexManifest()
	require.NoError(t, err)
	var got []string
	for _, m := range manifest.Manifests {
		got = append(got, m.Platform.String())
	}
	require.Equal(t, []string{"linux/amd64", "linux/arm64"}, got)
}

// TestDockerfileMakesTheSame compares what the two ways to an image say.
func TestDockerfileMakesTheSame(t *testing.T) {
	dockerfile := string(read(t, "../Dockerfile"))
	makefile := string(read(t, root+"/Makefile"))
	quoted := fmt.Sprintf("%s %s -ldflags='-s -w'", buildFlags[0], buildFlags[1])
	require.Equal(t, "-ldflags=-s -w", buildFlags[2])
	require.Contains(t, dockerfile, quoted)
	require.Contains(t, makefile, quoted)
	require.Contains(t, dockerfile, "\nUSER "+user+"\n")
	require.Contains(t, dockerfile, `ENTRYPOINT ["`+entrypoint+`"]`)
	self, err := os.Executable()
	require.NoError(t, err)
	image, err := newImage(self, "amd64")
	require.NoError(t, err)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	for label, value := range config.Config.Labels {
		require.Contains(t, dockerfile, label+"=")
		if value != "" && !strings.HasSuffix(label, "version") && !strings.HasSuffix(label, "revision") {
			require.Contains(t, dockerfile, label+`="`+value+`"`)
		}
	}
	for port := range config.Config.ExposedPorts {
		require.Regexp(t, `(?m)^EXPOSE .*\b`+strings.TrimSuffix(port, "/tcp")+`\b`, dockerfile)
	}
	version := regexp.MustCompile(`(?m)^go (.*)$`).FindSubmatch(read(t, root+"/go.mod"))[1]
	require.Contains(t, dockerfile, "golang:"+string(version)+" ")
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return content
}
