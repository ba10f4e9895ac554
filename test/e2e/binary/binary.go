// Package binary builds the programs the end-to-end tests run, into the cache
// folder test/e2e/.cache/bin. A lock file there keeps two test binaries from
// building the same thing at once; nothing is ever downloaded but Go modules.
package binary

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

// Root returns the folder of the end-to-end module, found upwards from the
// working directory, which `go test` sets to the package's folder.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "tools", "collector", "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside test/e2e: no tools/collector upwards from the working directory")
		}
		dir = parent
	}
}

// Artifacts returns the folder where the logs of failed tests stay.
func Artifacts() (string, error) {
	root, err := Root()
	return filepath.Join(root, "artifacts"), err
}

// Scaler builds the product from the checkout this module lies in and returns
// the path of the binary. Go's build cache makes a second build a matter of a
// second, so there is no key of our own that could miss a change.
func Scaler(ctx context.Context) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	target := filepath.Join(root, ".cache", "bin", "keda-otel-scaler")
	repository := filepath.Join(root, "..", "..")
	return target, locked(root, func() error {
		return build(ctx, repository, target, "./cmd/keda-otel-scaler")
	})
}

// RaceScaler is Scaler with the race detector, which needs cgo.
func RaceScaler(ctx context.Context) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	target := filepath.Join(root, ".cache", "bin", "keda-otel-scaler-race")
	repository := filepath.Join(root, "..", "..")
	return target, locked(root, func() error {
		return build(ctx, repository, target, "-race", "./cmd/keda-otel-scaler")
	})
}

// Collector builds tools/collector, or returns the binary that an earlier run
// built from the same sources with the same Go. Of the service discoveries it has
// that of Kubernetes: the others are a cloud each.
func Collector(ctx context.Context) (string, error) {
	return tool(ctx, "collector", "collector", "-tags=remove_all_sd,enable_kubernetes_sd", ".")
}

// Prometheus is Collector for a whole Prometheus, without the service
// discoveries, which are most of it.
func Prometheus(ctx context.Context) (string, error) {
	return tool(ctx, "prometheus", "prometheus", "-tags=remove_all_sd", "github.com/prometheus/prometheus/cmd/prometheus")
}

// Promtool is Collector for Prometheus' command line.
func Promtool(ctx context.Context) (string, error) {
	return tool(ctx, "prometheus", "promtool", "-tags=remove_all_sd", "github.com/prometheus/prometheus/cmd/promtool")
}

// tool builds a program of the module tools/<module>.
func tool(ctx context.Context, module, name string, args ...string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "tools", module)
	key, err := keyOf(ctx, dir, args)
	if err != nil {
		return "", err
	}
	target := filepath.Join(root, ".cache", "bin", name+"-"+key)
	return target, locked(root, func() error {
		if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return build(ctx, dir, target, args...)
	})
}

// keyOf hashes everything a binary depends on: go.sum pins the modules.
func keyOf(ctx context.Context, module string, args []string) (string, error) {
	sum := sha256.New()
	sum.Write(fmt.Appendf(nil, "%q\n", args))
	names, err := filepath.Glob(filepath.Join(module, "*"))
	if err != nil {
		return "", err
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		sum.Write(fmt.Appendf(nil, "%s %d\n%s", filepath.Base(name), len(content), content))
	}
	cmd := exec.CommandContext(ctx, "go", "version")
	cmd.Dir = module // a toolchain line in go.mod would change the answer
	version, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go version: %w", err)
	}
	sum.Write(version)
	return fmt.Sprintf("%x", sum.Sum(nil)[:8]), nil
}

// build writes to a name of its own first: an interrupted build must not leave
// half a binary under the name that says it is complete.
func build(ctx context.Context, dir, target string, args ...string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	partial := target + ".partial"
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-mod=readonly", "-o", partial}, args...)...)
	cmd.Dir = dir
	cmd.Env = os.Environ()
	cgo := "CGO_ENABLED=0"
	if slices.Contains(args, "-race") {
		cgo = "CGO_ENABLED=1"
	}
	cmd.Env = append(cmd.Env, cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s in %s: %w\n%s", args, dir, err, out)
	}
	return os.Rename(partial, target)
}

// locked runs f while no other process of this user does.
func locked(root string, f func() error) error {
	cache := filepath.Join(root, ".cache")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	return f()
}
