package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	binary := flag.String("binary", "", "`file` of the built program")
	out := flag.String("out", "", "`file` to write, CycloneDX in JSON")
	flag.Parse()
	if err := run(*binary, *out); err != nil {
		fmt.Fprintln(os.Stderr, "supply:", err)
		os.Exit(1)
	}
}

func run(binary, out string) error {
	if binary == "" || out == "" {
		return errors.New("want -binary=FILE -out=FILE")
	}
	parts, err := partsOf(binary)
	if err != nil {
		return err
	}
	text, err := bill(parts)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Clean(out), text, 0o600)
}
