package stage

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPage finds the three examples in the page, which is kept to the letter.
func TestPage(t *testing.T) {
	for example, holds := range map[int]string{
		PageCPU: "averageUtilization: 50", PagePrometheus: `serverAddress: "http://prometheus.istio-system.svc.cluster.local:9090"`,
		PageOpenTelemetry: `sidecar.opentelemetry.io/inject: "huggingface-fbopt-predictor"`,
	} {
		text, err := Page(example)
		require.NoError(t, err)
		require.Contains(t, text, holds)
		require.True(t, strings.HasPrefix(text, "apiVersion:"), text)
		require.NotContains(t, text, "```")
	}
}

func TestShare(t *testing.T) {
	for _, test := range []struct {
		total, pods int
		want        []int
	}{{9, 1, []int{9}}, {9, 3, []int{3, 3, 3}}, {40, 3, []int{14, 13, 13}}, {1, 3, []int{1, 0, 0}}} {
		var got []int
		for i := range test.pods {
			got = append(got, share(test.total, test.pods, i))
		}
		require.Equal(t, test.want, got)
	}
}
