package overload

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
)

// dear are queries that take as much as one may.
var dear = []string{
	`sum(sum_over_time(vector(1)[30m:1ms]))`,
	`count({__name__=~"(.*a.*b.*c.*d.*|.*e.*f.*g.*h.*){1,20}"}) + 1`,
	`sum(vllm:metric_00 * on (namespace) group_left () sum by (namespace) (vllm:metric_01)) + 1`,
	`max_over_time(sum({__name__=~".+"})[10m:10ms])`,
}

// TestExpensiveQueries from another namespace's ScaledObjects, and a storm of them
// at the HTTP API, take their share, and no more: a ScaledObject next door is answered.
func TestExpensiveQueries(t *testing.T) {
	s := startScaler(t, "GOMEMLIMIT=512MiB", "--enforce-namespace-label=namespace")
	r, err := newRequest(0, 50)
	require.NoError(t, err)
	push := func() { require.NoError(t, export(t.Context(), s.conn(t, s.otlp), r.at(time.Now()))) }
	push()
	ask := func() (took []time.Duration) {
		keda := s.conn(t, s.keda)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(*loadFor / 2); time.Now().Before(end); <-tick.C {
			if len(took)%100 == 0 {
				push() // what changed is evaluated anew
			}
			began := time.Now()
			answer, err := s.metrics(t.Context(), keda, 0)
			took = append(took, time.Since(began))
			require.NoError(t, err)
			require.InDelta(t, 50, answer.GetMetricValues()[0].GetMetricValueFloat(), 0)
		}
		return took
	}
	before := ask()

	ctx, stop := context.WithCancel(t.Context())
	var storm sync.WaitGroup
	var answered, refused atomic.Int64
	for n := range 40 {
		text := fmt.Sprintf("%s + %d", dear[n%len(dear)], n)
		storm.Go(func() {
			keda := pb.NewExternalScalerClient(s.conn(t, s.keda))
			for ctx.Err() == nil {
				_, _ = keda.GetMetrics(ctx, &pb.GetMetricsRequest{ScaledObjectRef: &pb.ScaledObjectRef{
					Name: fmt.Sprintf("dear-%d", n), Namespace: "hostile", ScalerMetadata: map[string]string{"metricQuery": text, "targetValue": "1"},
				}})
			}
		})
		storm.Go(func() {
			for ctx.Err() == nil {
				now := time.Now()
				request, _ := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/api/v1/query_range?query=%s&start=%d&end=%d&step=0.1",
					s.http, url.QueryEscape(text), now.Add(-10*time.Minute).Unix(), now.Unix()), nil)
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					continue
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.StatusCode == http.StatusOK {
					answered.Add(1)
				} else {
					refused.Add(1)
				}
			}
		})
	}
	during := ask()
	stop()
	storm.Wait()
	peak := s.peakMiB(t)
	t.Logf("the neighbour's calls took p50 %s, p99 %s before, p50 %s, p99 %s in the storm; of query_range %d were answered, %d refused; memory at its peak %d MiB",
		quantile(before, 0.5), quantile(before, 0.99), quantile(during, 0.5), quantile(during, 0.99), answered.Load(), refused.Load(), peak)
	require.Less(t, quantile(during, 0.5), 300*time.Millisecond) // with 20 at a time it was 788 ms
	require.Less(t, peak, 512*5/4)
	require.True(t, strings.Contains(s.Log(), `msg="a trigger's query is expensive" scaledobject=hostile/dear-`), "who it is is named")
}
