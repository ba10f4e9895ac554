package naming

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMetricNames(t *testing.T) {
	for in, want := range map[string]string{
		"vllm:num_requests_running": "vllm:num_requests_running",
		"process_cpu_seconds_total": "process_cpu_seconds_total",
		"http.server/requests":      "http_server_requests",
		"a..b":                      "a_b",
		"a__b":                      "a__b",
		"2xx":                       "_2xx",
	} {
		got, err := Metric(in)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, in := range []string{"", "ä ", "/"} {
		_, err := Metric(in)
		require.Error(t, err, in)
	}
}

func TestLabelNames(t *testing.T) {
	for in, want := range map[string]string{
		"k8s.pod.name": "k8s_pod_name",
		"a__b":         "a__b",
		"a:b":          "a_b",
		"2xx":          "key_2xx",
		"_x":           "key_x",
		"__x":          "__x",
	} {
		got, err := Label(in)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := Label("")
	require.Error(t, err)
}
