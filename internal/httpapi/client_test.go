package httpapi

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/stretchr/testify/require"
)

func mustMarshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// TestPrometheusClient asks everything through Prometheus' own client library,
// as Grafana and promtool do.
func TestPrometheusClient(t *testing.T) {
	f := newFixture(t)
	f.load(t, pods)
	f.loadHistogram(t, "latency")
	server := f.server(t)
	client, err := api.NewClient(api.Config{Address: server.URL, Client: server.Client()})
	require.NoError(t, err)
	prometheus := v1.NewAPI(client)
	ctx, now := t.Context(), f.now()

	value, warnings, infos, err := prometheus.Query(ctx, "running", now.Add(500*time.Millisecond), v1.WithLimit(1), v1.WithTimeout(time.Second))
	require.NoError(t, err)
	require.Equal(t, v1.Warnings{"results truncated due to limit"}, warnings)
	require.Empty(t, infos)
	require.Equal(t, model.Vector{{Metric: model.Metric{"__name__": "running", "pod": "a"}, Value: 3, Timestamp: model.TimeFromUnixNano(now.UnixNano()) + 500}}, value)

	value, _, _, err = prometheus.Query(ctx, "latency", now)
	require.NoError(t, err)
	vector, ok := value.(model.Vector)
	require.True(t, ok)
	require.InDelta(t, 12.5, float64(vector[0].Histogram.Sum), 0)
	require.Len(t, vector[0].Histogram.Buckets, 4)

	value, _, _, err = prometheus.Query(ctx, "0/0", now)
	require.NoError(t, err)
	scalar, ok := value.(*model.Scalar)
	require.True(t, ok)
	require.True(t, math.IsNaN(float64(scalar.Value)))

	value, _, infos, err = prometheus.QueryRange(ctx, "rate(running[10s])", v1.Range{Start: now.Add(-5 * time.Second), End: now, Step: 5 * time.Second})
	require.NoError(t, err)
	require.Len(t, infos, 1)
	matrix, ok := value.(model.Matrix)
	require.True(t, ok)
	require.Len(t, matrix, 2)
	require.InDelta(t, 0.2, float64(matrix[0].Values[1].Value), 1e-9)

	series, _, _, err := prometheus.Series(ctx, []string{"running"}, time.Time{}, time.Time{})
	require.NoError(t, err)
	require.Len(t, series, 2)
	names, _, _, err := prometheus.LabelNames(ctx, nil, now, now)
	require.NoError(t, err)
	require.Equal(t, model.LabelNames{"__name__", "pod"}, names)
	values, _, _, err := prometheus.LabelValues(ctx, "pod", []string{"running"}, time.Time{}, now)
	require.NoError(t, err)
	require.Equal(t, model.LabelValues{"a", "b"}, values)
	known, err := prometheus.Metadata(ctx, "running", "1")
	require.NoError(t, err)
	require.Empty(t, known, "nothing was said of it")
	f.store.Appender().Describe("running", metadata.Metadata{Type: model.MetricTypeGauge, Unit: "requests", Help: "in <flight>"})
	known, err = prometheus.Metadata(ctx, "running", "1")
	require.NoError(t, err)
	require.Equal(t, map[string][]v1.Metadata{"running": {{Type: v1.MetricTypeGauge, Unit: "requests", Help: "in <flight>"}}}, known)
	build, err := prometheus.Buildinfo(ctx)
	require.NoError(t, err)
	require.Equal(t, "3.16.0", build.Version)
	tsdb, err := prometheus.TSDB(ctx)
	require.NoError(t, err)
	require.Equal(t, 5, tsdb.HeadStats.NumSeries)
	text, err := prometheus.FormatQuery(ctx, "sum(  running)")
	require.NoError(t, err)
	require.JSONEq(t, `"sum(running)"`, text) // the library leaves the quotes

	_, _, _, err = prometheus.Query(ctx, "sum(", now)
	var failure *v1.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, v1.ErrBadData, failure.Type)
	require.ErrorContains(t, failure, "unclosed left parenthesis")
}
