package store

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// TestSweepCountsSeriesByState: what /metrics says is the last sweep's, so that
// a scrape looks at no series.
func TestSweepCountsSeriesByState(t *testing.T) {
	registry := prometheus.NewRegistry()
	s, c := newStore(t, Options{Retention: 5 * time.Minute, Lookback: 2 * time.Minute, Registerer: registry})
	expect := func(live, late, ended string, largest int) {
		t.Helper()
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP keda_otel_scaler_series_states Series as the last sweep, one every few seconds, found them: live, late (nothing arrived for 1.5 push intervals) or ended (by their sender).
# TYPE keda_otel_scaler_series_states gauge
keda_otel_scaler_series_states{state="ended"} `+ended+`
keda_otel_scaler_series_states{state="late"} `+late+`
keda_otel_scaler_series_states{state="live"} `+live+"\n"), "keda_otel_scaler_series_states"))
		require.Equal(t, largest, s.LargestMetric())
	}
	of := func(name, pod string) labels.Labels { return labels.FromStrings(labels.MetricName, name, "pod", pod) }
	push(t, s, of("m", "a"), 0, 1)
	push(t, s, of("m", "b"), 0, 1)
	push(t, s, of("n", "a"), 0, 1)
	expect("0", "0", "0", 0)
	s.Sweep()
	expect("3", "0", "0", 2)

	a := s.Appender()
	_, err := a.End(of("n", "a"), ms(1))
	require.NoError(t, err)
	a.Commit()
	c.at(130)
	push(t, s, of("m", "a"), 130, 1)
	s.Sweep()
	expect("1", "1", "1", 2)

	c.at(490)
	push(t, s, of("m", "a"), 490, 1)
	s.Sweep() // frees the two others, and finds them for the last time
	s.Sweep()
	expect("1", "0", "0", 1)
}
