package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The reference servers are the test binary here, started again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && references[os.Args[1]] != nil {
		fail(serveReference(os.Args[1]), 1)
	}
	goleak.VerifyTestMain(m)
}
