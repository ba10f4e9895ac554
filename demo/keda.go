package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// The InferenceService of KServe's page "Autoscaling with KEDA", third example.
const (
	namespace   = "default"
	deployment  = "huggingface-fbopt-predictor"
	metricQuery = `sum(vllm:num_requests_running{namespace="` + namespace + `", deployment="` + deployment + `"})`
)

// keda asks the scaler what KEDA asks for the ScaledObject KServe renders.
type keda struct {
	conn         *grpc.ClientConn
	scaler       externalscaler.ExternalScalerClient
	scaledObject *externalscaler.ScaledObjectRef
}

func newKEDA(address string, target float64) (*keda, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &keda{
		conn:   conn,
		scaler: externalscaler.NewExternalScalerClient(conn),
		scaledObject: &externalscaler.ScaledObjectRef{
			Name:      deployment,
			Namespace: namespace,
			ScalerMetadata: map[string]string{
				"metricQuery": metricQuery,
				"targetValue": strconv.FormatFloat(target, 'f', -1, 64),
				// KServe's default. KEDA sends it along; it is not where we dialled.
				"scalerAddress": "keda-otel-scaler.keda.svc:4318",
			},
		},
	}, nil
}

// reading is the answer to one poll.
type reading struct {
	value, target float64
	active        bool
}

// poll makes KEDA's three calls in KEDA's order and reads them as KEDA does.
func (k *keda) poll(ctx context.Context) (reading, error) {
	var r reading
	specs, err := k.scaler.GetMetricSpec(ctx, k.scaledObject)
	if err != nil {
		return r, fmt.Errorf("GetMetricSpec: %s", status.Convert(err).Message())
	}
	if len(specs.MetricSpecs) != 1 {
		return r, fmt.Errorf("GetMetricSpec: %d specs, want one for one trigger", len(specs.MetricSpecs))
	}
	spec := specs.MetricSpecs[0]
	if r.target = spec.TargetSizeFloat; r.target <= 0 {
		r.target = float64(spec.TargetSize)
	}
	metrics, err := k.scaler.GetMetrics(ctx, &externalscaler.GetMetricsRequest{
		ScaledObjectRef: k.scaledObject,
		MetricName:      spec.MetricName,
	})
	if err != nil {
		return r, fmt.Errorf("GetMetrics: %s", status.Convert(err).Message())
	}
	for _, metric := range metrics.MetricValues { // the HPA adds them up
		if metric.MetricValueFloat > 0 {
			r.value += metric.MetricValueFloat
		} else {
			r.value += float64(metric.MetricValue)
		}
	}
	activity, err := k.scaler.IsActive(ctx, k.scaledObject)
	if err != nil {
		return r, fmt.Errorf("IsActive: %s", status.Convert(err).Message())
	}
	r.active = activity.Result
	return r, nil
}

// watch calls heard with every message of StreamIsActive until ctx ends or the
// scaler closes the stream. KServe's trigger is polled; this is what one of
// type external-push hears.
func (k *keda) watch(ctx context.Context, heard func(active bool)) error {
	stream, err := k.scaler.StreamIsActive(ctx, k.scaledObject)
	for err == nil {
		var message *externalscaler.IsActiveResponse
		if message, err = stream.Recv(); err == nil {
			heard(message.Result)
		}
	}
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("StreamIsActive: %s", status.Convert(err).Message())
}
