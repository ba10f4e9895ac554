package serve

import (
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// TestASpareThreadWhileRequestsQueue: what it is for is in test/e2e/overload.
func TestASpareThreadWhileRequestsQueue(t *testing.T) {
	if _, set := os.LookupEnv("GOMAXPROCS"); set {
		t.Skip("GOMAXPROCS decides")
	}
	synctest.Test(t, func(t *testing.T) {
		before := runtime.GOMAXPROCS(0)
		s := newSpareThread()
		for range 3 {
			s.needed()
			require.Equal(t, before+1, runtime.GOMAXPROCS(0))
			time.Sleep(spareFor - time.Second)
		}
		require.Equal(t, before+1, runtime.GOMAXPROCS(0), "it was needed since")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, before, runtime.GOMAXPROCS(0))

		s.needed()
		s.stop()
		require.Equal(t, before, runtime.GOMAXPROCS(0))
		s.needed()
		require.Equal(t, before, runtime.GOMAXPROCS(0), "what has stopped needs none")
	})
}

func TestGOMAXPROCSDecidesInstead(t *testing.T) {
	t.Setenv("GOMAXPROCS", "1")
	before := runtime.GOMAXPROCS(0)
	newSpareThread().needed()
	require.Equal(t, before, runtime.GOMAXPROCS(0))
}

// TestWhoNeedsASpareThread: a long query does, and requests that queue.
func TestWhoNeedsASpareThread(t *testing.T) {
	if _, set := os.LookupEnv("GOMAXPROCS"); set {
		t.Skip("GOMAXPROCS decides")
	}
	before := runtime.GOMAXPROCS(0)
	for name, needs := range map[string]func(*instance){
		"a long query": func(i *instance) {
			long := object()
			long.ScalerMetadata["metricQuery"] = `sum(sum_over_time(vector(1)[5m:1ms]))`
			_, err := pb.NewExternalScalerClient(dialGRPC(t, i.KEDAGRPC)).GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: long})
			require.NoError(t, err)
		},
		"requests that queue": func(i *instance) {
			client := collector.NewMetricsServiceClient(dialGRPC(t, i.OTLPGRPC))
			var senders sync.WaitGroup
			for sender := range 4 * before {
				gauge := &metrics.Gauge{}
				for n := range 5000 { // new series: tens of milliseconds
					gauge.DataPoints = append(gauge.DataPoints, &metrics.NumberDataPoint{
						Attributes: []*common.KeyValue{{Key: "n", Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: int64(sender*5000 + n)}}}},
					})
				}
				senders.Go(func() {
					_, err := client.Export(t.Context(), &collector.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{
						ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: []*metrics.Metric{{Name: "m", Data: &metrics.Metric_Gauge{Gauge: gauge}}}}},
					}}})
					assert.NoError(t, err)
				})
			}
			senders.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := start(t, "--warm-up=0")
			require.Equal(t, before, runtime.GOMAXPROCS(0))
			needs(i)
			require.Equal(t, before+1, runtime.GOMAXPROCS(0))
			_, err := i.wait(t)
			require.NoError(t, err)
			require.Equal(t, before, runtime.GOMAXPROCS(0), "it goes with the servers")
		})
	}
}
