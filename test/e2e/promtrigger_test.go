package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers"
	"github.com/kedacore/keda/v2/pkg/scalers/scalersconfig"
	"github.com/stretchr/testify/require"
)

// prometheusTrigger builds KEDA's own prometheus scaler for what KServe renders
// from the second example of its KEDA page, but for the server's address.
func prometheusTrigger(t testing.TB, serverAddress string) *consumer {
	t.Helper()
	s, err := scalers.NewPrometheusScaler(&scalersconfig.ScalerConfig{
		ScalableObjectName: component, ScalableObjectNamespace: "default", ScalableObjectType: "ScaledObject",
		GlobalHTTPTimeout: callTimeout,
		TriggerMetadata:   map[string]string{"serverAddress": serverAddress, "query": running, "threshold": "2"},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	specs := s.GetMetricSpecForScaling(t.Context())
	require.Len(t, specs, 1)
	require.Equal(t, "2", specs[0].External.Target.AverageValue.String())
	return &consumer{scaler: s, metric: specs[0].External.Metric.Name}
}

// TestPrometheusTrigger is KEDA's prometheus trigger with our address: one pod,
// then two, for whom it needs /keda.
func TestPrometheusTrigger(t *testing.T) {
	t.Parallel()
	s, summing := startScaler(t, "--warm-up=0s"), startScaler(t, "--warm-up=0s", "--http-sum-selectors")
	warming := startScaler(t, "--warm-up=1h", "--http-sum-selectors")
	plain, keda := prometheusTrigger(t, "http://"+s.http), prometheusTrigger(t, "http://"+s.http+"/keda")
	everywhere := prometheusTrigger(t, "http://"+summing.http)

	got, err := plain.read(t.Context())
	require.NoError(t, err)
	require.Equal(t, reading{0, false}, got, "nothing has come yet, which KEDA takes for a zero")
	for _, address := range []string{warming.http, warming.http + "/keda"} {
		_, err := prometheusTrigger(t, "http://"+address).read(t.Context())
		require.ErrorContains(t, err, "422", "in the warm-up it holds")
	}
	first, second := s.pusher(t, "default"), s.pusher(t, "default")
	second.pod = "pod-1"
	t.Run("a push is seen at once, whatever the fraction of the second", func(t *testing.T) {
		load := 0.0
		for began := time.Now(); time.Since(began) < 1100*time.Millisecond; {
			load++
			first.push(t, load)
			for _, c := range []*consumer{plain, keda} {
				got, err := c.read(t.Context())
				require.NoError(t, err)
				require.Equal(t, reading{load, true}, got)
			}
		}
	})
	t.Run("two pods are summed under /keda", func(t *testing.T) {
		first.push(t, 3)
		second.push(t, 4)
		got, err := keda.read(t.Context())
		require.NoError(t, err)
		require.Equal(t, reading{7, true}, got)
		_, err = plain.read(t.Context())
		require.ErrorContains(t, err, "returned multiple elements", "which KEDA says of any Prometheus")
	})
	t.Run("and everywhere with the flag", func(t *testing.T) {
		for _, pod := range []string{"pod-0", "pod-1"} {
			p := summing.pusher(t, "default")
			p.pod = pod
			p.push(t, 5)
		}
		got, err := everywhere.read(t.Context())
		require.NoError(t, err)
		require.Equal(t, reading{10, true}, got)
	})
}

// TestPromtool asks through Prometheus' command line, and ours.
func TestPromtool(t *testing.T) {
	t.Parallel()
	s := startScaler(t)
	s.pusher(t, "tool").push(t, 3)
	server := "http://" + s.http
	series := fmt.Sprintf(`%s{deployment=%q, engine="0", model_name="fbopt", namespace="tool", pod="pod-0"}`, running, component)
	for _, test := range []struct {
		name, binary string
		args         []string
		want         string
	}{
		{"instant", promtoolBinary, []string{"query", "instant", server, running}, series + " => 3 @["},
		{"range", promtoolBinary, []string{"query", "range", "--step=1s", server, "sum(" + running + ")"}, "{} =>\n3 @["},
		{"series", promtoolBinary, []string{"query", "series", "--match=" + running, server}, `pod="pod-0"`},
		{"labels", promtoolBinary, []string{"query", "labels", server, "pod"}, "pod-0\n"},
		{"our own", scalerBinary, []string{"query", "--server=" + server, running}, series + "  3\n"},
		{"our own range", scalerBinary, []string{"query", "--server=" + server, "--range=10s", "sum(" + running + ")"}, "{}      3     3    3\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), test.binary, test.args...).CombinedOutput()
			require.NoError(t, err, string(out))
			require.Contains(t, string(out), test.want)
		})
	}
	out, err := exec.CommandContext(t.Context(), scalerBinary, "query", "--server="+server, "sum(").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "bad_data: invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis")
}
