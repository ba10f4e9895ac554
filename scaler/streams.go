package scaler

import (
	"context"
	"fmt"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// StreamIsActive sends the current state, and then its changes, as data
// arrives. While the state can't be told the last one stands.
func (s *Server) StreamIsActive(ref *pb.ScaledObjectRef, stream grpc.ServerStreamingServer[pb.IsActiveResponse]) error {
	q, err := s.lookup(ref)
	if err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	w, err := q.plan.Watch()
	if err != nil {
		return q.status(err)
	}
	defer w.Close()
	ctx := stream.Context()
	for sent, first := false, true; ; {
		w.Arm()
		active := s.activity(ctx, q)
		if first || active != sent {
			if err := stream.Send(&pb.IsActiveResponse{Result: active}); err != nil {
				return err
			}
			sent, first = active, false
		}
		select {
		case <-w.Changed():
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-s.stopped:
			return nil
		}
	}
}

func (s *Server) activity(ctx context.Context, q *question) bool {
	if a := s.ask(ctx, q); a.err == nil {
		return a.active
	}
	return q.state.lastActive()
}

// StreamMetricSpec sends the specs once: they follow from the metadata, and
// KEDA opens a new stream when those change.
func (s *Server) StreamMetricSpec(ref *pb.ScaledObjectRef, stream grpc.ServerStreamingServer[pb.GetMetricSpecResponse]) error {
	q, err := s.lookup(ref)
	if err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := stream.Send(q.spec()); err != nil {
		return err
	}
	select {
	case <-stream.Context().Done():
		return status.FromContextError(stream.Context().Err()).Err()
	case <-s.stopped:
		return nil
	}
}

// enter takes one of the slots for streams.
func (s *Server) enter() error {
	select {
	case s.slots <- struct{}{}:
		s.metrics.streams.Inc()
		return nil
	default:
		return status.Error(codes.ResourceExhausted, fmt.Sprintf("%d streams are open, which is the most (--max-streams)", cap(s.slots)))
	}
}

func (s *Server) leave() {
	s.metrics.streams.Dec()
	<-s.slots
}
