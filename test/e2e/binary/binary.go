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

// Collector builds tools/collector, or returns the binary that an earlier run
// built from the same sources with the same Go.
func Collector(ctx context.Context) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	module := filepath.Join(root, "tools", "collector")
	key, err := keyOf(ctx, module)
	if err != nil {
		return "", err
	}
	target := filepath.Join(root, ".cache", "bin", "collector-"+key)
	return target, locked(root, func() error {
		if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return build(ctx, module, target, ".")
	})
}

// keyOf hashes everything the binary depends on: go.sum pins the modules.
func keyOf(ctx context.Context, module string) (string, error) {
	sum := sha256.New()
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		content, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", err
		}
		sum.Write(fmt.Appendf(nil, "%s %d\n%s", name, len(content), content))
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
func build(ctx context.Context, dir, target, pkg string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	partial := target + ".partial"
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-o", partial, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s in %s: %w\n%s", pkg, dir, err, out)
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
