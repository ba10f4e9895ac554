package serve

import (
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLogSaysWhatBoundsIt at the start, and that it ended, last of all.
func TestLogSaysWhatBoundsIt(t *testing.T) {
	before := debug.SetMemoryLimit(1 << 40)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	i := start(t, "--max-series=700", "--max-series-per-metric=600", "--max-samples-per-series=50", "--max-streams=40",
		"--retention=3m", "--warm-up=7s", "--on-missing=zero", "--enforce-namespace-label=namespace")
	require.Equal(t, 1, strings.Count(i.log.String(), "msg=started version="))
	for _, want := range []string{
		`"max series"=700`, `"max series per metric"=600`, `"max samples per series"=50`, `"max streams"=40`, `"memory limit"=1099511627776`,
		"retention=3m0s", `"max retention"=15m0s`, "warm-up=7s", `"on missing"=zero`, `"enforced label"=namespace`, "procs=", "revision=",
	} {
		require.Contains(t, i.log.String(), want)
	}
	_, err := i.wait(t)
	require.NoError(t, err)
	require.Regexp(t, `msg="shutting down".*\n(.*\n)*.*msg=stopped\n$`, i.log.String())
}

func TestLogNamesNoLimitThatIsNone(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	debug.SetMemoryLimit(1<<63 - 1)
	i := start(t)
	_, err := i.wait(t)
	require.NoError(t, err)
	require.NotContains(t, i.log.String(), "memory limit")
	require.NotContains(t, i.log.String(), "enforced label")
}
