// Command image builds the product's container image with no Docker daemon: an
// OCI layout with an image for each architecture, the same to the last byte for
// the same commit. deploy/Dockerfile makes the same image where there is one.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// options are the command line's.
type options struct {
	root          string   // of the repository
	architectures []string // of Linux, as Go names them
	layout        string   // folder of the OCI layout
	tag           string   // name of the image
	docker        string   // file that docker load takes, or empty
}

func main() {
	var o options
	architectures := flag.String("architectures", "amd64,arm64", "Linux architectures to build for")
	flag.StringVar(&o.root, "root", "../..", "`folder` of the repository")
	flag.StringVar(&o.layout, "layout", "../../bin/image", "`folder` to write the OCI layout to; what is there goes")
	flag.StringVar(&o.tag, "tag", "keda-otel-scaler:latest", "`name` of the image")
	flag.StringVar(&o.docker, "docker", "", "`file` to write this machine's architecture to, for docker load")
	flag.Parse()
	o.architectures = strings.Split(*architectures, ",")
	digest, err := run(context.Background(), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Printf("%s %s in %s\n", o.tag, digest, o.layout)
}

// run builds, writes, and returns the digest of all architectures together.
func run(ctx context.Context, o options) (v1.Hash, error) {
	tag, err := name.NewTag(o.tag)
	if err != nil {
		return v1.Hash{}, err
	}
	folder, err := os.MkdirTemp("", "image")
	if err != nil {
		return v1.Hash{}, err
	}
	defer func() { _ = os.RemoveAll(folder) }()

	images := make(map[string]v1.Image, len(o.architectures))
	for _, architecture := range o.architectures {
		binary := filepath.Join(folder, architecture)
		if err := build(ctx, o.root, architecture, binary); err != nil {
			return v1.Hash{}, fmt.Errorf("linux/%s: %w", architecture, err)
		}
		if images[architecture], err = newImage(binary, architecture); err != nil {
			return v1.Hash{}, fmt.Errorf("linux/%s: %w", architecture, err)
		}
	}
	index := newIndex(images)
	if err := os.RemoveAll(o.layout); err != nil {
		return v1.Hash{}, err
	}
	path, err := layout.Write(o.layout, newIndex(nil))
	if err != nil {
		return v1.Hash{}, err
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": tag.String()})); err != nil {
		return v1.Hash{}, err
	}
	if o.docker != "" {
		image, ok := images[runtime.GOARCH]
		if !ok {
			return v1.Hash{}, fmt.Errorf("-docker=%s: want %s among the architectures, this machine's", o.docker, runtime.GOARCH)
		}
		if err := tarball.WriteToFile(o.docker, tag, image); err != nil {
			return v1.Hash{}, err
		}
	}
	return index.Digest()
}
