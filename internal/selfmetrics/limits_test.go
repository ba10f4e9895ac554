package selfmetrics

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// TestReachedLimitIsLoggedOnce: not again while it hovers there.
func TestReachedLimitIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	var used float64
	registry := prometheus.NewRegistry()
	limits := NewLimits(registry, slog.New(slog.NewTextHandler(&log, nil)),
		Limit{Name: "series", Flag: "--max-series", Most: 10, Used: func() float64 { return used }, Why: func() string { return "10 of x" }},
		Limit{Name: "streams", Most: 10, Used: func() float64 { return 0 }})
	look := func(now float64, warnings, infos int) {
		t.Helper()
		used = now
		limits.look()
		require.Equal(t, warnings, strings.Count(log.String(), "level=WARN"), log.String())
		require.Equal(t, infos, strings.Count(log.String(), "level=INFO"), log.String())
	}
	look(9, 0, 0)
	look(10, 1, 0)
	require.Contains(t, log.String(), `limit=series most=10 flag=--max-series "most of it"="10 of x"`)
	for range 10 {
		look(9.5, 1, 0)
		look(10, 1, 0)
	}
	look(8, 1, 1)
	look(10, 2, 1)
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP keda_otel_scaler_limit The most there may be of something.
# TYPE keda_otel_scaler_limit gauge
keda_otel_scaler_limit{limit="series"} 10
keda_otel_scaler_limit{limit="streams"} 10
# HELP keda_otel_scaler_limit_used How much there is of what is limited.
# TYPE keda_otel_scaler_limit_used gauge
keda_otel_scaler_limit_used{limit="series"} 10
keda_otel_scaler_limit_used{limit="streams"} 0
`)))
}
