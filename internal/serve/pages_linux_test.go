package serve

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoHugePages(t *testing.T) {
	start(t)
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	if !strings.Contains(string(status), "THP_enabled") {
		t.Skip("this kernel does not say")
	}
	require.Regexp(t, `(?m)^THP_enabled:\t0$`, string(status))
}
