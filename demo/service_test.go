package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBuildSaysWhatIsMissingOutsideAClone(t *testing.T) {
	_, err := buildService(t.Context(), t.TempDir(), t.TempDir())
	assert.ErrorContains(t, err, "go.mod is missing")
	assert.ErrorContains(t, err, `run "make demo" at the top of a clone`)
}

func TestServiceThatEndsAtOnce(t *testing.T) {
	t.Setenv(crashing, "yes")
	self, err := os.Executable()
	require.NoError(t, err)
	var lines []string
	_, err = startService(t.Context(), self, time.Minute, func(line string) { lines = append(lines, line) })
	assert.EqualError(t, err, "keda-otel-scaler ended with exit code 3 before it listened")
	assert.Equal(t, []string{`ERROR msg="no such port" remembers=true`, "panic: of sorts"}, lines)
}
