package serve

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoHugePages(t *testing.T) {
	start(t)
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^THP_enabled:\t0$`, string(status))
}
