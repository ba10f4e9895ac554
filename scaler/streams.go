package scaler

import (
	"context"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// StreamIsActive sends the current activity, and then its changes. While the
// scaler holds the last activity stays.
func (s *Server) StreamIsActive(ref *pb.ScaledObjectRef, stream grpc.ServerStreamingServer[pb.IsActiveResponse]) error {
	ctx := stream.Context()
	q, leave, err := s.enter(ctx, ref, rpcStreamActive)
	if err != nil {
		return err
	}
	defer leave()
	st := q.state
	changed, stop := s.activity.watch(st)
	defer stop()
	if _, err := s.current(ctx, st); err != nil {
		return q.status(err)
	}
	for sent, first := false, true; ; first = false {
		if active := st.shown.Load(); first || active != sent {
			if err := stream.Send(&pb.IsActiveResponse{Result: active}); err != nil {
				return err
			}
			sent = active
		}
		if !wait(ctx, s.stopped, changed) {
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// StreamMetricSpec sends the specs once: they follow from the metadata, and
// KEDA opens a new stream when those change.
func (s *Server) StreamMetricSpec(ref *pb.ScaledObjectRef, stream grpc.ServerStreamingServer[pb.GetMetricSpecResponse]) error {
	ctx := stream.Context()
	q, leave, err := s.enter(ctx, ref, rpcStreamSpec)
	if err != nil {
		return err
	}
	defer leave()
	if err := stream.Send(q.trigger.spec(q.state.metric)); err != nil {
		return err
	}
	wait[struct{}](ctx, s.stopped, nil)
	return status.FromContextError(ctx.Err()).Err()
}

// enter is lookup for a stream, of which there is a maximum. The caller calls leave
// at its end.
func (s *Server) enter(ctx context.Context, ref *pb.ScaledObjectRef, by rpc) (q *question, leave func(), err error) {
	q, err = s.lookup(ctx, ref, by)
	if err != nil {
		return nil, nil, err
	}
	if !s.open.TryAcquire() {
		return nil, nil, status.Errorf(codes.ResourceExhausted, "%d streams are open, which is the most (--max-streams)", cap(s.open))
	}
	q.state.streams.Add(1)
	return q, func() {
		q.state.streams.Add(-1)
		s.open.Release()
	}, nil
}
