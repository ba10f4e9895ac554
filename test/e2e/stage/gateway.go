package stage

import (
	"context"
	"fmt"
	"log"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// GatewayMetric is what an Envoy says of the requests that wait for, or are
// with, one of the clusters behind it.
const GatewayMetric = "envoy_cluster_upstream_rq_active"

// GatewayLabel tells the clusters apart.
const GatewayLabel = "envoy_cluster_name"

// pushEvery is how often a gateway says what has not changed.
const pushEvery = time.Second

// Gateway stands in for one that pushes: a model without replicas has no pods
// that could say how many requests wait for it.
type Gateway struct {
	client collector.MetricsServiceClient

	mu     sync.Mutex     // guards active, and puts exports in order
	active map[string]int // requests of each model
}

// StartGateway pushes until the test ends, at first that no model has requests.
func StartGateway(t testing.TB, models []string) *Gateway {
	t.Helper()
	connection, err := grpc.NewClient(OTLPAddress, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	g := &Gateway{client: collector.NewMetricsServiceClient(connection), active: map[string]int{}}
	for _, model := range models {
		g.active[model] = 0
	}
	_, err = g.Set(t.Context(), nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var joined sync.WaitGroup
	joined.Go(func() { g.run(ctx) })
	t.Cleanup(func() {
		cancel()
		joined.Wait()
		_ = connection.Close()
	})
	return g
}

func (g *Gateway) run(ctx context.Context) {
	ticker := time.NewTicker(pushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := g.Set(ctx, nil); err != nil && ctx.Err() == nil {
			log.Print("gateway: ", err)
		}
	}
}

// Set changes how many requests some models have and pushes what all have. It
// returns when it began to.
func (g *Gateway) Set(ctx context.Context, change map[string]int) (time.Time, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.Copy(g.active, change)
	begin := time.Now()
	return begin, g.push(ctx)
}

// Active is how many requests all models have together.
func (g *Gateway) Active() (sum int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range g.active {
		sum += n
	}
	return sum
}

// GatewayQuery asks for the requests of one model.
func GatewayQuery(model string) string {
	return fmt.Sprintf("sum(%s{%s=%q})", GatewayMetric, GatewayLabel, model)
}

// push exports everything in one request. The caller holds mu.
func (g *Gateway) push(ctx context.Context) error {
	now := uint64(time.Now().UnixNano())
	points := make([]*metrics.NumberDataPoint, 0, len(g.active))
	for model, n := range g.active {
		name := &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: model}}
		points = append(points, &metrics.NumberDataPoint{
			TimeUnixNano: now, Value: &metrics.NumberDataPoint_AsInt{AsInt: int64(n)},
			Attributes: []*common.KeyValue{{Key: GatewayLabel, Value: name}},
		})
	}
	gauge := &metrics.Metric{Name: GatewayMetric, Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: points}}}
	response, err := g.client.Export(ctx, &collector.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{
		ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: []*metrics.Metric{gauge}}},
	}}})
	if err == nil && response.GetPartialSuccess().GetRejectedDataPoints() > 0 {
		err = fmt.Errorf("points refused: %s", response.GetPartialSuccess().GetErrorMessage())
	}
	return err
}
