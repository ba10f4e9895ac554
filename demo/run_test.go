package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDemo plays most of a short wave against the real service.
func TestDemo(t *testing.T) {
	var b strings.Builder
	o := options{duration: 10 * time.Second, wave: 12 * time.Second, max: 5, target: 4}
	err := run(t.Context(), o, newScreen(&b, false))
	output := b.String()
	t.Log("\n" + output)
	require.NoError(t, err)

	assert.Regexp(t, `(?m)^t=.* value=[1-9]\S* target=4 active=true desired=[2-5] pods=[2-5] `, output)
	assert.Regexp(t, `(?m)^t=.* stream=true`, output)
	assert.Contains(t, output, "# killed pod huggingface-fbopt-predictor-")
	assert.Contains(t, output, "# keda-otel-scaler ended with exit code 0\n")

	pid, err := strconv.Atoi(regexp.MustCompile(`pid (\d+):`).FindStringSubmatch(output)[1])
	require.NoError(t, err)
	process, err := os.FindProcess(pid)
	if err == nil {
		err = process.Signal(syscall.Signal(0))
	}
	assert.ErrorIs(t, err, os.ErrProcessDone)
}
