package scaler

import (
	"fmt"
	"slices"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// StreamIsActive sends the current activity, and then its changes. While the
// scaler holds the last activity stays.
func (s *Server) StreamIsActive(ref *pb.ScaledObjectRef, stream grpc.ServerStreamingServer[pb.IsActiveResponse]) error {
	q, err := s.lookup(stream.Context(), ref, rpcStreamActive)
	if err != nil {
		return err
	}
	st := q.state
	if err := s.enter(st); err != nil {
		return err
	}
	defer s.leave(st)
	changed := st.subscribe()
	defer st.unsubscribe(changed)
	ctx := stream.Context()
	if _, err := s.current(ctx, st); err != nil {
		return q.status(err)
	}
	for sent, first := false, true; ; {
		if active := st.shown.Load(); first || active != sent {
			if err := stream.Send(&pb.IsActiveResponse{Result: active}); err != nil {
				return err
			}
			sent, first = active, false
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-s.stopped:
			return nil
		}
	}
}

// subscribe returns a channel that is ready after the trigger's activity changed.
func (st *state) subscribe() chan struct{} {
	changed := make(chan struct{}, 1)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.subscribers = append(st.subscribers, changed)
	return changed
}

func (st *state) unsubscribe(changed chan struct{}) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.subscribers = slices.DeleteFunc(st.subscribers, func(c chan struct{}) bool { return c == changed })
}

// showLocked tells the streams.
func (st *state) showLocked(active bool) {
	if st.shown.Swap(active) == active {
		return
	}
	for _, changed := range st.subscribers {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

// StreamMetricSpec sends the specs once: they follow from the metadata, and
// KEDA opens a new stream when those change.
func (s *Server) StreamMetricSpec(ref *pb.ScaledObjectRef, stream grpc.ServerStreamingServer[pb.GetMetricSpecResponse]) error {
	q, err := s.lookup(stream.Context(), ref, rpcStreamSpec)
	if err != nil {
		return err
	}
	st := q.state
	if err := s.enter(st); err != nil {
		return err
	}
	defer s.leave(st)
	if err := stream.Send(q.trigger.spec(st.metric)); err != nil {
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
func (s *Server) enter(st *state) error {
	select {
	case s.slots <- struct{}{}:
		s.metrics.streams.Inc()
		st.streams.Add(1)
		return nil
	default:
		return status.Error(codes.ResourceExhausted, fmt.Sprintf("%d streams are open, which is the most (--max-streams)", cap(s.slots)))
	}
}

func (s *Server) leave(st *state) {
	st.streams.Add(-1)
	s.metrics.streams.Dec()
	<-s.slots
}
