package e2e

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// dial connects without TLS, as KServe's sidecar and ScaledObject do.
func dial(t testing.TB, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// raw is KEDA's contract without KEDA's client, for what that client hides.
func (a addresses) raw(t testing.TB) externalscaler.ExternalScalerClient {
	t.Helper()
	return externalscaler.NewExternalScalerClient(dial(t, a.keda))
}

// ref is what KEDA's client sends for the trigger.
func (a addresses) ref(namespace, query, target string) *externalscaler.ScaledObjectRef {
	config := a.trigger(namespace, query, target)
	return &externalscaler.ScaledObjectRef{
		Name: config.ScalableObjectName, Namespace: namespace, ScalerMetadata: config.TriggerMetadata,
	}
}

// pusher is a sender whose every push the test decides: what a sidecar sends,
// without its clock.
type pusher struct {
	client    collector.MetricsServiceClient
	namespace string
	pod       string
	last      time.Time // of the last push, in whole milliseconds
}

func (a addresses) pusher(t testing.TB, namespace string) *pusher {
	t.Helper()
	return &pusher{client: collector.NewMetricsServiceClient(dial(t, a.otlp)), namespace: namespace, pod: "pod-0"}
}

// push exports one pod's requests in flight.
func (p *pusher) push(t testing.TB, load float64) {
	t.Helper()
	p.tick()
	p.export(t, load)
}

// export is push for a caller that has waited for the tick.
func (p *pusher) export(t testing.TB, load float64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
	defer cancel()
	response, err := p.client.Export(ctx, p.request(load))
	require.NoError(t, err)
	require.Zero(t, response.GetPartialSuccess().GetRejectedDataPoints(), response.GetPartialSuccess().GetErrorMessage())
}

// tick returns once the clock shows another millisecond than at the last push:
// Prometheus, whose model of time the product shares, has one sample for each,
// and a test is faster than any sender.
func (p *pusher) tick() {
	for !time.Now().Truncate(time.Millisecond).After(p.last) {
		runtime.Gosched()
	}
	p.last = time.Now().Truncate(time.Millisecond)
}

func (p *pusher) request(load float64) *collector.ExportMetricsServiceRequest {
	attributes := make([]*common.KeyValue, 0, 5)
	for _, kv := range [][2]string{
		{"engine", "0"}, {"model_name", "fbopt"}, {"namespace", p.namespace}, {"deployment", component}, {"pod", p.pod},
	} {
		value := &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: kv[1]}}
		attributes = append(attributes, &common.KeyValue{Key: kv[0], Value: value})
	}
	point := &metrics.NumberDataPoint{
		Attributes:   attributes,
		TimeUnixNano: uint64(time.Now().UnixNano()),
		Value:        &metrics.NumberDataPoint_AsDouble{AsDouble: load},
	}
	metric := &metrics.Metric{Name: running, Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: []*metrics.NumberDataPoint{point}}}}
	return &collector.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{
		ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: []*metrics.Metric{metric}}},
	}}}
}
