package main

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOptionsDefaultToThePagesExample(t *testing.T) {
	o, err := parseOptions(nil, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, options{wave: 75 * time.Second, max: 5, target: 4}, o)
}

func TestOptionsRefuseWhatMakesNoSense(t *testing.T) {
	for arg, message := range map[string]string{
		"now":            `unexpected argument "now"`,
		"--duration=-1s": "--duration=-1s: want 0",
		"--wave=1s":      "--wave=1s: want at least 4s",
		"--max=0":        "--max=0: want 1 to 20",
		"--max=21":       "--max=21: want 1 to 20",
		"--target=0":     "--target=0: want a number of at least 0.001",
		"--target=-4":    "--target=-4: want",
		"--target=NaN":   "--target=NaN: want",
		"--target=Inf":   "--target=+Inf: want",
		"--max=many":     `invalid value "many"`,
	} {
		_, err := parseOptions([]string{arg}, io.Discard)
		assert.ErrorContains(t, err, message, arg)
	}
}
