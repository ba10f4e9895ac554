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
// arrives. While the state can't be told the last one stands. Pushes that change
// nothing don't get here: see shown.
func (s *Server) StreamIsActive(ref *pb.ScaledObjectRef, stream grpc.ServerStreamingServer[pb.IsActiveResponse]) error {
	q, err := s.lookup(stream.Context(), ref, rpcStreamActive)
	if err != nil {
		return err
	}
	if err := s.enter(q); err != nil {
		return err
	}
	defer s.leave(q)
	shown := &shown{activation: q.trigger.activation, decided: &q.state.decided}
	w, err := q.plan.Watch(shown)
	if err != nil {
		return q.status(err)
	}
	defer w.Close()
	ctx := stream.Context()
	for sent, first := false, true; ; {
		shown.last.clear()
		w.Arm()
		active := s.activity(ctx, q)
		if first || active != sent {
			if err := stream.Send(&pb.IsActiveResponse{Result: active}); err != nil {
				return err
			}
			sent, first = active, false
		}
		shown.last.set(active)
		select {
		case <-w.Changed():
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-s.stopped:
			return nil
		}
	}
}

// shown is what a stream has sent, by which those who push judge whether it has
// to look at a new value. They find nothing of it in the CPU's cache, so it is
// small, and little else is looked at.
type shown struct {
	activation float64
	decided    *verdict // of all who ask for the trigger
	last       verdict
}

// Settled implements query.Listener. That the stream has nothing to send is not
// enough: what is remembered of the trigger must be the same, too. A poll may
// have decided otherwise in between, or have held.
func (s *shown) Settled(v float64, whole bool) bool {
	active := above(v, s.activation)
	if !whole && !active {
		return false // what is missing may have kept it active
	}
	return s.last.is(active) && s.decided.is(active)
}

func (s *Server) activity(ctx context.Context, q *question) bool {
	if a := s.ask(ctx, q); a.err == nil || a.active {
		return a.active
	}
	return q.state.lastActive()
}

// StreamMetricSpec sends the specs once: they follow from the metadata, and
// KEDA opens a new stream when those change.
func (s *Server) StreamMetricSpec(ref *pb.ScaledObjectRef, stream grpc.ServerStreamingServer[pb.GetMetricSpecResponse]) error {
	q, err := s.lookup(stream.Context(), ref, rpcStreamSpec)
	if err != nil {
		return err
	}
	if err := s.enter(q); err != nil {
		return err
	}
	defer s.leave(q)
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
func (s *Server) enter(q *question) error {
	select {
	case s.slots <- struct{}{}:
		s.metrics.streams.Inc()
		q.state.streams.Add(1)
		return nil
	default:
		return status.Error(codes.ResourceExhausted, fmt.Sprintf("%d streams are open, which is the most (--max-streams)", cap(s.slots)))
	}
}

func (s *Server) leave(q *question) {
	q.state.streams.Add(-1)
	s.metrics.streams.Dec()
	<-s.slots
}
