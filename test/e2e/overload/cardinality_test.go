package overload

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
)

// calmSeries is how many series a calm bomb has, and points a request of either.
const calmSeries = 1000

// bomb sends a new value of a label with every point, a million a minute. One that
// is calm sends the same thousand with every request.
func bomb(ctx context.Context, conn *grpc.ClientConn, calm bool) (sent int64, err error) {
	const points = calmSeries
	name, began := "bomb", time.Now().UnixNano()
	if calm {
		name, began = "calm", 0
	}
	for tick := time.NewTicker(time.Minute * points / 1_000_000); ctx.Err() == nil; <-tick.C {
		now := uint64(time.Now().UnixNano())
		gauge := &metrics.Gauge{}
		for n := range int64(points) {
			if !calm {
				n += sent
			}
			gauge.DataPoints = append(gauge.DataPoints, &metrics.NumberDataPoint{
				Attributes:   []*common.KeyValue{text("namespace", "team"), text("request_id", fmt.Sprintf("%d-%d", began, n))},
				TimeUnixNano: now,
				Value:        &metrics.NumberDataPoint_AsDouble{AsDouble: 1},
			})
		}
		b, err := proto.Marshal(&metrics.MetricsData{ResourceMetrics: []*metrics.ResourceMetrics{{ScopeMetrics: []*metrics.ScopeMetrics{{
			Metrics: []*metrics.Metric{{Name: name, Data: &metrics.Metric_Gauge{Gauge: gauge}}},
		}}}}})
		if err != nil {
			return sent, err
		}
		if err := export(context.WithoutCancel(ctx), conn, b); err != nil {
			return sent, err
		}
		sent += points
	}
	return sent, nil
}

// pushes sends a known request again and again, and returns how long each took.
func (s *scaler) pushes(t *testing.T, r *request, during time.Duration) (took []time.Duration) {
	t.Helper()
	conn := s.conn(t, s.otlp)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(during); time.Now().Before(end); <-tick.C {
		began := time.Now()
		require.NoError(t, export(t.Context(), conn, r.at(began)))
		took = append(took, time.Since(began))
	}
	return took
}

// TestCardinalityBomb: the limits hold, who explodes is named, and the others
// notice no more than of a sender of as many points of known series.
func TestCardinalityBomb(t *testing.T) {
	const most, rounds = 20_000, 4
	s := startScaler(t, "GOMEMLIMIT=256MiB", fmt.Sprintf("--max-series-per-metric=%d", most), "--retention=1h")
	r, err := newRequest(0, 10)
	require.NoError(t, err)
	s.pushes(t, r, time.Second)
	var alone, calm, during []time.Duration
	var sent int64
	for range rounds { // a shared machine changes its mind in between
		alone = append(alone, s.pushes(t, r, *loadFor/rounds)...)
		wait := startGenerator(t, load{Address: s.otlp, Calm: true, For: *loadFor / rounds})
		calm = append(calm, s.pushes(t, r, *loadFor/rounds)...)
		wait()
		wait = startGenerator(t, load{Address: s.otlp, Bomb: true, For: *loadFor / rounds})
		during = append(during, s.pushes(t, r, *loadFor/rounds)...)
		sent += wait().Points
	}
	poll.Until(t, 30*time.Second, func(context.Context) error {
		if !strings.Contains(s.Log(), "series of bomb, whose label request_id has 1000 values") || !strings.Contains(s.Log(), "limit=series_per_metric") {
			return fmt.Errorf("the log names nobody")
		}
		return nil
	})
	t.Logf("%d points of the bomb; pushes of known series took p50 %s, p99 %s alone, p50 %s, p99 %s beside as many points of known series, p50 %s, p99 %s beside it",
		sent, quantile(alone, 0.5), quantile(alone, 0.99), quantile(calm, 0.5), quantile(calm, 0.99), quantile(during, 0.5), quantile(during, 0.99))
	require.LessOrEqual(t, s.metric(t, "keda_otel_scaler_series"), float64(most+calmSeries+200))
	require.InDelta(t, sent-most, s.metric(t, `keda_otel_scaler_series_refused_total{limit="metric"}`), 0, "each is counted")
	answer, err := s.metrics(t.Context(), s.conn(t, s.keda), 0)
	require.NoError(t, err)
	require.InDelta(t, 10, answer.GetMetricValues()[0].GetMetricValueFloat(), 0)
	require.Less(t, quantile(during, 0.5), 20*time.Millisecond)
}
