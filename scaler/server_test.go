package scaler

import (
	"context"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestMetricSpecComesFromMetadataAlone(t *testing.T) {
	r := newRig(t, Options{WarmUp: time.Hour})
	for _, tc := range []struct {
		md     map[string]string
		name   string
		target float64
		whole  int64
	}{
		{kserve, "vllm:num_requests_running", 4, 4},
		{with(kserve, "targetValue", "500m"), "vllm:num_requests_running", 0.5, 1},
		{with(kserve, "metricQuery", `sum({"http.server/requests"})`), "http_server_requests", 4, 4},
		{with(kserve, "metricQuery", `sum({__name__=~"a|b"})`), "promql", 4, 4},
		{with(kserve, "metricQuery", `sum({__name__="a/b"})`), "a_b", 4, 4},
	} {
		spec, err := r.client.GetMetricSpec(t.Context(), ref(tc.md))
		require.NoError(t, err)
		require.Len(t, spec.GetMetricSpecs(), 1)
		s := spec.GetMetricSpecs()[0]
		require.Equal(t, tc.name, s.GetMetricName())
		require.InDelta(t, tc.target, s.GetTargetSizeFloat(), 0)
		require.Equal(t, tc.whole, s.GetTargetSize())
		stream, err := r.client.StreamMetricSpec(t.Context(), ref(tc.md))
		require.NoError(t, err)
		streamed, err := stream.Recv()
		require.NoError(t, err)
		require.Equal(t, spec.String(), streamed.String(), "both ways of asking agree")
	}
}

// TestBadTriggerIsRefusedByEveryRPC, but where there is a target KEDA gets a spec,
// or it would not ask the questions whose errors it shows.
func TestBadTriggerIsRefusedByEveryRPC(t *testing.T) {
	r := newRig(t, Options{})
	recv := func(_ any, err error) error { return err }
	for _, tc := range []struct {
		md   map[string]string
		want string
	}{
		{with(kserve, "targetValue", "many"), `targetValue: "many" is not a number`},
		{with(kserve, "metricQuery", "sum(x"), `metricQuery: bad query: "sum(x"`},
		{nil, "metricQuery is missing"},
	} {
		calls := map[string]func(context.Context) error{
			"GetMetricSpec": func(ctx context.Context) error { return recv(r.client.GetMetricSpec(ctx, ref(tc.md))) },
			"GetMetrics": func(ctx context.Context) error {
				return recv(r.client.GetMetrics(ctx, &pb.GetMetricsRequest{ScaledObjectRef: ref(tc.md)}))
			},
			"IsActive": func(ctx context.Context) error { return recv(r.client.IsActive(ctx, ref(tc.md))) },
			"StreamIsActive": func(ctx context.Context) error {
				s, err := r.client.StreamIsActive(ctx, ref(tc.md))
				require.NoError(t, err)
				return recv(s.Recv())
			},
			"StreamMetricSpec": func(ctx context.Context) error {
				s, err := r.client.StreamMetricSpec(ctx, ref(tc.md))
				require.NoError(t, err)
				return recv(s.Recv())
			},
		}
		for name, call := range calls {
			err := call(t.Context())
			if name == "GetMetricSpec" && tc.md["targetValue"] == "4" {
				require.NoError(t, err)
				continue
			}
			require.Equal(t, codes.InvalidArgument, status.Code(err), name)
			require.ErrorContains(t, err, "ScaledObject default/huggingface-fbopt-predictor", name)
			require.ErrorContains(t, err, tc.want, name)
		}
	}
	_, err := r.client.GetMetrics(t.Context(), &pb.GetMetricsRequest{})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
}

func TestValueActivityAndClamps(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 2)
	r.push("b", 0.5)
	r.require(kserve, 2.5, true)
	r.require(with(kserve, "activationTargetValue", "2.5"), 2.5, false)
	r.require(with(kserve, "activationTargetValue", "2499m"), 2.5, true)
	r.require(with(kserve, "clampMax", "1"), 1, true)
	r.require(with(kserve, "clampMax", "-1"), 0, true) // which is what KEDA makes of it
	r.push("c", 0)
	r.wait(time.Second)
	r.push("a", 0)
	r.push("b", 0)
	r.require(kserve, 0, false)
	r.require(with(kserve, "clampMin", "3"), 3, false)
	r.require(with(kserve, "operationOverTime", "max"), 2.5, true)
}

func TestMetricNameDefaultsToTheSpecs(t *testing.T) {
	r := newRig(t, Options{})
	m, err := r.client.GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: ref(kserve)})
	require.NoError(t, err)
	require.Equal(t, "vllm:num_requests_running", m.GetMetricValues()[0].GetMetricName())
}

func TestValueThatKEDACannotCarryIsAnError(t *testing.T) {
	r := newRig(t, Options{})
	for text, want := range map[string]string{
		`vector(1) / 0`: "is +Inf",
		`vector(1e17)`:  "that the HPA can count",
	} {
		_, err := r.client.GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: ref(with(kserve, "metricQuery", text))})
		require.Equal(t, codes.FailedPrecondition, status.Code(err), text)
		require.ErrorContains(t, err, want)
	}
}

func TestNothingStartedYetIsZero(t *testing.T) {
	r := newRig(t, Options{})
	r.require(kserve, 0, false)
	r.require(with(kserve, "onMissing", "value", "valueIfNotFound", "3"), 3, true)
	_, _, err := r.poll(with(kserve, "onMissing", "error"))
	require.Equal(t, codes.Unavailable, status.Code(err))
}

func TestScaledObjectsDoNotShareMemory(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 5)
	r.require(kserve, 5, true)
	r.wait(10 * time.Minute)
	r.store.Sweep()
	r.requireHeld(kserve, "")
	other := &pb.ScaledObjectRef{Name: "other", Namespace: "default", ScalerMetadata: kserve}
	a, err := r.client.IsActive(t.Context(), other)
	require.NoError(t, err)
	require.False(t, a.GetResult())
}

func TestTriggersOfOneScaledObjectDoNotShareMemory(t *testing.T) {
	r := newRig(t, Options{})
	lazy := with(kserve, "activationTargetValue", "10")
	r.push("a", 5)
	r.require(kserve, 5, true)
	r.require(lazy, 5, false)
	r.wait(10 * time.Minute)
	r.store.Sweep()
	r.requireHeld(kserve, "")
	r.require(lazy, 0, false)
}

// TestCallerThatIsGoneChangesNothing: KEDA's restart cuts calls off.
func TestCallerThatIsGoneChangesNothing(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 5)
	r.require(kserve, 5, true)
	r.push("b", 5)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.server.IsActive(ctx, ref(kserve))
	require.Equal(t, codes.Canceled, status.Code(err))
	require.Zero(t, r.logs.count("msg=holding"))
	require.InDelta(t, 0, testutil.ToFloat64(r.server.metrics.answers[causeHoldFailed]), 0)
}

func TestChangesAreLoggedOnceAndAnswersCounted(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	r := newRig(t, Options{Registerer: reg})
	md := with(kserve, "zzz", "1")
	for range 3 {
		for range 5 {
			r.push("a", 5)
			_, _, err := r.poll(md)
			require.NoError(t, err)
			r.wait(5 * time.Second)
		}
		r.wait(3 * time.Minute)
		for range 5 {
			_, _, err := r.poll(md)
			require.Error(t, err)
		}
	}
	require.Equal(t, 3, r.logs.count("msg=answering"))
	require.Equal(t, 3, r.logs.count("msg=holding"))
	require.Equal(t, 1, r.logs.count("keys=[zzz]"))
	require.InDelta(t, 30, testutil.ToFloat64(r.server.metrics.answers[causeValue]), 0)
	require.InDelta(t, 30, testutil.ToFloat64(r.server.metrics.answers[causeHoldSilent]), 0)
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}
