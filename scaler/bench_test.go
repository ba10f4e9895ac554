package scaler

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// constant answers without a look at any data: what gRPC costs.
type constant struct {
	pb.UnimplementedExternalScalerServer
}

func (constant) GetMetrics(_ context.Context, req *pb.GetMetricsRequest) (*pb.GetMetricsResponse, error) {
	return &pb.GetMetricsResponse{MetricValues: []*pb.MetricValue{{MetricName: req.GetMetricName(), MetricValue: 1, MetricValueFloat: 1}}}, nil
}

func constantClient(b *testing.B) pb.ExternalScalerClient {
	b.Helper()
	return connect(b, func(g grpc.ServiceRegistrar) { pb.RegisterExternalScalerServer(g, constant{}) })
}

// BenchmarkGetMetrics polls over a real connection, by turns with a server that
// answers a constant. The ratio is of the two medians.
func BenchmarkGetMetrics(b *testing.B) {
	for _, series := range []int{1, 1000, 100_000} {
		for _, pushed := range []bool{false, true} {
			b.Run(fmt.Sprintf("series=%d/pushed=%t", series, pushed), func(b *testing.B) {
				r := newRig(b, Options{})
				a := r.store.Appender()
				for i := range series {
					deployment := "huggingface-fbopt-predictor"
					if i >= 4 {
						deployment = fmt.Sprint("other", i/4)
					}
					_, err := a.Append(labels.FromStrings(labels.MetricName, "vllm:num_requests_running",
						"namespace", "default", "deployment", deployment, "pod", fmt.Sprint(i)), r.ms.Load(), float64(i))
					require.NoError(b, err)
				}
				a.Commit()
				servers := []pb.ExternalScalerClient{r.client, constantClient(b)}
				took := make([][]time.Duration, len(servers))
				req := &pb.GetMetricsRequest{ScaledObjectRef: ref(kserve), MetricName: "m"}
				b.ResetTimer()
				for range b.N {
					if pushed {
						r.wait(time.Millisecond)
						r.push("0", 5)
					}
					for i, c := range servers {
						start := time.Now()
						if _, err := c.GetMetrics(b.Context(), req); err != nil {
							b.Fatal(err)
						}
						took[i] = append(took[i], time.Since(start))
					}
				}
				median := func(d []time.Duration) float64 {
					slices.Sort(d)
					return float64(d[len(d)/2])
				}
				b.ReportMetric(median(took[0]), "ns/poll")
				b.ReportMetric(median(took[0])/median(took[1]), "ratio")
			})
		}
	}
}

// BenchmarkAsk is what a poll costs without gRPC.
func BenchmarkAsk(b *testing.B) {
	r := newRig(b, Options{})
	r.push("a", 1)
	req := &pb.GetMetricsRequest{ScaledObjectRef: ref(kserve), MetricName: "m"}
	ctx := from(b.Context(), "10.0.0.7")
	b.ReportAllocs()
	for range b.N {
		if _, err := r.server.GetMetrics(ctx, req); err != nil {
			b.Fatal(err)
		}
	}
}
