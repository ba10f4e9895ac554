package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"

	"github.com/google/licensecheck"
)

// root is where the product's go.mod is.
const root = "../.."

// Parts are what a binary was linked from.
type Parts struct {
	Main    debug.Module
	Go      string // its version, as go1.26.0
	Modules []Module
}

// Module is one that was linked in.
type Module struct {
	debug.Module
	Licences []string // SPDX identifiers, sorted
}

// partsOf reads what the linker wrote, and the licences from the module cache.
func partsOf(binary string) (*Parts, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	dirs, err := moduleDirs()
	if err != nil {
		return nil, err
	}
	p := &Parts{Main: info.Main, Go: info.GoVersion}
	for _, m := range info.Deps {
		if m.Replace != nil {
			return nil, fmt.Errorf("%s is replaced by %s: what is shipped would not be what is named", m.Path, m.Replace.Path)
		}
		ids, err := licencesIn(dirs[m.Path])
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", m.Path, m.Version, err)
		}
		p.Modules = append(p.Modules, Module{*m, ids})
	}
	return p, nil
}

// moduleDirs returns where the product's modules lie.
func moduleDirs() (map[string]string, error) {
	list := exec.Command("go", "list", "-m", "-json", "all")
	list.Dir, list.Stderr = root, os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -m all: %w", err)
	}
	dirs := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var m struct{ Path, Dir string }
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return dirs, nil
		} else if err != nil {
			return nil, err
		}
		dirs[m.Path] = m.Dir
	}
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying)([.-].*)?$`)

// licencesIn reads the licences at the top of a module.
func licencesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() || !licenceFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		for _, match := range licensecheck.Scan(text).Match {
			ids = append(ids, match.ID)
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("no licence that is known in its top folder")
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
