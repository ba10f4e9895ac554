package main

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

// crashing makes the test binary, started again, play a service that ends at once.
const crashing = "DEMO_TEST_CRASHING_SERVICE"

func TestMain(m *testing.M) {
	if os.Getenv(crashing) != "" {
		fmt.Fprintln(os.Stderr, `time=2026-08-01T10:00:00Z level=INFO msg=listening server=http address=127.0.0.1:9`)
		fmt.Fprintf(os.Stderr, "time=2026-08-01T10:00:00Z level=ERROR msg=\"no such port\" remembers=%v\n", slices.Contains(os.Args, "--retention=1m0s"))
		fmt.Fprintln(os.Stderr, `panic: of sorts`)
		os.Exit(3)
	}
	goleak.VerifyTestMain(m)
}
