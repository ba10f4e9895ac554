package serve

import (
	"context"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
			// As JSON, which costs its sender nothing and the server milliseconds.
			body := `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{}` + strings.Repeat(",{}", 20_000) + `]}}]}]}]}`
			enough, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var senders sync.WaitGroup
			for range 4 * before {
				senders.Go(func() {
					for enough.Err() == nil && runtime.GOMAXPROCS(0) == before {
						response, err := send(t.Context(), http.DefaultClient, http.MethodPost, "http://"+i.OTLPHTTP.String()+"/v1/metrics", []byte(body), "Content-Type", "application/json")
						if !assert.NoError(t, err) || !assert.Equal(t, http.StatusOK, response.code, "%s", response.body) {
							return
						}
					}
				})
			}
			senders.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := start(t, "--warm-up=0", "--query-timeout=1m") // under a race detector on a busy machine
			require.Equal(t, before, runtime.GOMAXPROCS(0))
			needs(i)
			require.Equal(t, before+1, runtime.GOMAXPROCS(0))
			_, err := i.wait(t)
			require.NoError(t, err)
			require.Equal(t, before, runtime.GOMAXPROCS(0), "it goes with the servers")
		})
	}
}
