package scaler

import (
	"testing"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestAScaledObjectSeesItsNamespaceOnly: by every RPC, and by explain.
func TestAScaledObjectSeesItsNamespaceOnly(t *testing.T) {
	r := newRig(t, Options{NamespaceLabel: "namespace"})
	r.push("a", 3)
	all := with(kserve, "metricQuery", "vllm:num_requests_running")
	r.require(all, 3, true) // default's own
	r.require(kserve, 3, true)

	other := func(md map[string]string, namespace string) *pb.ScaledObjectRef {
		return &pb.ScaledObjectRef{Name: "thief", Namespace: namespace, ScalerMetadata: md}
	}
	m, err := r.client.GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: other(all, "other")})
	require.NoError(t, err)
	require.Zero(t, m.GetMetricValues()[0].GetMetricValueFloat(), "nothing of its own has started yet")
	active, err := r.client.IsActive(t.Context(), other(all, "other"))
	require.NoError(t, err)
	require.False(t, active.GetResult())
	stream, err := r.client.StreamIsActive(t.Context(), other(all, "other"))
	require.NoError(t, err)
	first, err := stream.Recv()
	require.NoError(t, err)
	require.False(t, first.GetResult())

	view, err := r.server.Explain(t.Context(), Object{"other", "thief"}, 10)
	require.NoError(t, err)
	require.Equal(t, `sum(vllm:num_requests_running{namespace="other"})`, view.Triggers[0].Evaluated)
	require.Zero(t, view.Triggers[0].Explanation.Selectors[0].Live)

	// Naming another's namespace is a fault of the metadata, so KEDA holds.
	_, err = r.client.IsActive(t.Context(), other(kserve, "other"))
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	require.ErrorContains(t, err, `metricQuery: bad query: vllm:num_requests_running{deployment="huggingface-fbopt-predictor",namespace="default"} can match nothing`)
	_, err = r.client.IsActive(t.Context(), other(all, ""))
	require.Equal(t, codes.InvalidArgument, status.Code(err))
}
