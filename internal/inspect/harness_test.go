package inspect

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc/peer"

	inspectv1 "github.com/keda-otel-scaler/keda-otel-scaler/proto/inspect/v1"
	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is the API behind real connections, over a store whose clock is moved by
// hand.
type rig struct {
	t      *testing.T
	store  *store.Store
	scaler *scaler.Server
	url    string
	client inspectv1.InspectServiceClient // over gRPC
	ms     atomic.Int64
}

func newRig(t *testing.T, o scaler.Options) *rig {
	t.Helper()
	r := &rig{t: t}
	r.ms.Store(1_700_000_000_000)
	now := func() time.Time { return time.UnixMilli(r.ms.Load()) }
	r.store = store.New(store.Options{Now: now})
	engine, err := query.New(query.Options{Store: r.store})
	require.NoError(t, err)
	o.Queries, o.Now = engine, now
	r.scaler, err = scaler.New(o)
	require.NoError(t, err)

	mux := http.NewServeMux()
	mux.Handle(New(r.scaler, engine.Metrics))
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = protocols()
	server.Config.WriteTimeout = time.Minute
	server.Start()
	transport := &http.Transport{Protocols: protocols()}
	transport.Protocols.SetHTTP1(false)
	r.url = server.URL
	r.client = inspectv1.NewInspectServiceClient(&http.Client{Transport: transport}, server.URL, connect.WithGRPC())
	t.Cleanup(func() {
		r.scaler.Stop()
		transport.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
		server.Close()
	})
	return r
}

// runs evaluates in the background, until the test ends.
func (r *rig) runs() {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = r.scaler.Run(ctx) })
	r.t.Cleanup(func() {
		stop()
		running.Wait()
	})
}

func protocols() *http.Protocols {
	p := &http.Protocols{}
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

func (r *rig) push(pod string, v float64) {
	r.t.Helper()
	a := r.store.Appender()
	_, err := a.Append(labels.FromStrings(labels.MetricName, "vllm:num_requests_running",
		"namespace", "default", "deployment", "huggingface-fbopt-predictor", "pod", pod), r.ms.Load(), v)
	require.NoError(r.t, err)
	a.Commit()
}

func (r *rig) wait(d time.Duration) { r.ms.Add(d.Milliseconds()) }

// kserve is the trigger of the user's page.
var kserve = map[string]string{
	"metricQuery": `sum(vllm:num_requests_running{namespace="default", deployment="huggingface-fbopt-predictor"})`,
	"targetValue": "4",
}

func with(md map[string]string, pairs ...string) map[string]string {
	out := map[string]string{}
	for k, v := range md {
		out[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

// poll asks as KEDA does.
func (r *rig) poll(name string, md map[string]string) {
	r.t.Helper()
	ref := &pb.ScaledObjectRef{Name: name, Namespace: "default", ScalerMetadata: md}
	ctx := peer.NewContext(r.t.Context(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7)}})
	_, _ = r.scaler.GetMetricSpec(ctx, ref)
	_, _ = r.scaler.GetMetrics(ctx, &pb.GetMetricsRequest{ScaledObjectRef: ref})
	_, _ = r.scaler.IsActive(ctx, ref)
}

func (r *rig) get(name string) *inspectv1.ScaledObject {
	r.t.Helper()
	response, err := r.client.GetScaledObject(r.t.Context(), &inspectv1.GetScaledObjectRequest{Namespace: "default", Name: name})
	require.NoError(r.t, err)
	return response.GetScaledObject()
}

// trigger is the object's only one.
func (r *rig) trigger(name string) *inspectv1.Trigger {
	r.t.Helper()
	triggers := r.get(name).GetTriggers()
	require.Len(r.t, triggers, 1)
	return triggers[0]
}

// next receives from a watch.
func next(ctx context.Context, t *testing.T, watch *connect.ServerStreamForClient[inspectv1.WatchScaledObjectResponse]) *inspectv1.Trigger {
	t.Helper()
	require.NoError(t, ctx.Err())
	require.True(t, watch.Receive(), "%v", watch.Err())
	require.Len(t, watch.Msg().GetScaledObject().GetTriggers(), 1)
	return watch.Msg().GetScaledObject().GetTriggers()[0]
}
