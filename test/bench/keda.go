package main

import (
	"context"
	"fmt"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/payload"
)

// likeKEDA is how KEDA connects to a scaler.
const likeKEDA = `{"loadBalancingConfig": [{"round_robin":{}}]}`

func dialKEDA(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(address,
		grpc.WithDefaultServiceConfig(likeKEDA), grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// scaledObject is what KServe writes for the deployment of a pod.
func scaledObject(pod payload.Pod) *externalscaler.ScaledObjectRef {
	return &externalscaler.ScaledObjectRef{
		Name:      pod.Deployment,
		Namespace: pod.Namespace,
		ScalerMetadata: map[string]string{
			"metricQuery":   fmt.Sprintf("sum(%s{namespace=%q, deployment=%q})", payload.Running, pod.Namespace, pod.Deployment),
			"targetValue":   "4",
			"scalerAddress": product + ".keda.svc:4318",
		},
	}
}

// stream is an open StreamIsActive.
type stream = grpc.ServerStreamingClient[externalscaler.IsActiveResponse]

// openers is how many streams are opened at a time.
const openers = 16

// openStreams opens a stream for the deployment of each pod, over one
// connection as KEDA does, and waits for the state that each begins with. The
// streams end with ctx.
func openStreams(ctx context.Context, conn *grpc.ClientConn, pods []payload.Pod) ([]stream, error) {
	client := externalscaler.NewExternalScalerClient(conn)
	streams := make([]stream, len(pods))
	var group errgroup.Group // not WithContext: that one's context ends with Wait, and the streams with it
	group.SetLimit(openers)
	for i, pod := range pods {
		group.Go(func() error {
			s, err := client.StreamIsActive(ctx, scaledObject(pod))
			if err != nil {
				return fmt.Errorf("StreamIsActive of %s: %w", pod.Deployment, err)
			}
			first, err := s.Recv()
			if err != nil {
				return fmt.Errorf("StreamIsActive of %s: %w", pod.Deployment, err)
			}
			if !first.GetResult() {
				return fmt.Errorf("StreamIsActive of %s says inactive, and its pods are busy", pod.Deployment)
			}
			streams[i] = s
			return nil
		})
	}
	return streams, group.Wait()
}
