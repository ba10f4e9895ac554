package main

import (
	"context"
	"testing"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// scaler answers with what the test put into it.
type scaler struct {
	externalscaler.UnimplementedExternalScalerServer
	asked *externalscaler.ScaledObjectRef
	spec  *externalscaler.MetricSpec
	value *externalscaler.MetricValue
	err   error
}

func (s *scaler) GetMetricSpec(_ context.Context, ref *externalscaler.ScaledObjectRef) (*externalscaler.GetMetricSpecResponse, error) {
	s.asked = ref
	return &externalscaler.GetMetricSpecResponse{MetricSpecs: []*externalscaler.MetricSpec{s.spec}}, nil
}

func (s *scaler) GetMetrics(context.Context, *externalscaler.GetMetricsRequest) (*externalscaler.GetMetricsResponse, error) {
	return &externalscaler.GetMetricsResponse{MetricValues: []*externalscaler.MetricValue{s.value}}, s.err
}

func (s *scaler) IsActive(context.Context, *externalscaler.ScaledObjectRef) (*externalscaler.IsActiveResponse, error) {
	return &externalscaler.IsActiveResponse{Result: true}, nil
}

func (s *scaler) StreamIsActive(_ *externalscaler.ScaledObjectRef, stream externalscaler.ExternalScaler_StreamIsActiveServer) error {
	_ = stream.Send(&externalscaler.IsActiveResponse{Result: false})
	_ = stream.Send(&externalscaler.IsActiveResponse{Result: true})
	return s.err
}

func connect(t *testing.T, s *scaler) *keda {
	k, err := newKEDA(serveGRPC(t, func(g *grpc.Server) { externalscaler.RegisterExternalScalerServer(g, s) }), 4)
	require.NoError(t, err)
	t.Cleanup(func() { k.conn.Close() })
	return k
}

func TestPollSendsWhatKServeRendersAndReadsAsKEDADoes(t *testing.T) {
	s := &scaler{
		spec:  &externalscaler.MetricSpec{MetricName: "m", TargetSizeFloat: 2.5, TargetSize: 3},
		value: &externalscaler.MetricValue{MetricValueFloat: 7.5, MetricValue: 8},
	}
	k := connect(t, s)
	r, err := k.poll(t.Context())
	require.NoError(t, err)
	assert.Equal(t, reading{value: 7.5, target: 2.5, active: true}, r)
	assert.Equal(t, "default", s.asked.Namespace)
	assert.Equal(t, "huggingface-fbopt-predictor", s.asked.Name)
	assert.Equal(t, map[string]string{
		"metricQuery":   `sum(vllm:num_requests_running{namespace="default", deployment="huggingface-fbopt-predictor"})`,
		"targetValue":   "4",
		"scalerAddress": "keda-otel-scaler.keda.svc:4318",
	}, s.asked.ScalerMetadata)

	s.spec.TargetSizeFloat, s.value.MetricValueFloat = 0, 0
	r, err = k.poll(t.Context())
	require.NoError(t, err)
	assert.Equal(t, reading{value: 8, target: 3, active: true}, r, "integers where there is no float")

	s.err = status.Error(codes.Unavailable, "warming up")
	_, err = k.poll(t.Context())
	assert.EqualError(t, err, "GetMetrics: warming up")
}

func TestWatchHearsEveryMessageAndTellsAnEndFromAFailure(t *testing.T) {
	s := &scaler{}
	k := connect(t, s)
	var heard []bool
	require.NoError(t, k.watch(t.Context(), func(active bool) { heard = append(heard, active) }))
	assert.Equal(t, []bool{false, true}, heard)

	s.err = status.Error(codes.Internal, "broken")
	assert.EqualError(t, k.watch(t.Context(), func(bool) {}), "StreamIsActive: broken")
}
