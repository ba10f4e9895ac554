package scaler

import (
	"context"
	"io"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// patience bounds a wait for something that should happen at once.
const patience = 10 * time.Second

// stream opens StreamIsActive and hands over what it sends.
type stream struct {
	t    testing.TB
	got  chan bool
	end  chan error
	stop context.CancelFunc
}

func (r *rig) stream(md map[string]string) *stream {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	c, err := r.client.StreamIsActive(ctx, ref(md))
	require.NoError(r.t, err)
	s := &stream{t: r.t, got: make(chan bool, 1000), end: make(chan error, 1), stop: cancel}
	go func() {
		for {
			m, err := c.Recv()
			if err != nil {
				s.end <- err
				return
			}
			s.got <- m.GetResult()
		}
	}()
	r.t.Cleanup(cancel)
	return s
}

func (s *stream) next() bool {
	s.t.Helper()
	select {
	case v := <-s.got:
		return v
	case err := <-s.end:
		s.t.Fatalf("the stream ended: %v", err)
	case <-time.After(patience):
		s.t.Fatal("nothing was sent")
	}
	return false
}

func (s *stream) ended() error {
	s.t.Helper()
	select {
	case err := <-s.end:
		return err
	case <-time.After(patience):
		s.t.Fatal("the stream did not end")
	}
	return nil
}

func TestStreamSendsTheCurrentStateThenTransitionsOnly(t *testing.T) {
	r := newRig(t, Options{})
	s := r.stream(kserve)
	require.False(t, s.next(), "the state when it opens")
	for v := range 50 {
		r.wait(time.Second)
		r.push("a", float64(1+v))
	}
	require.True(t, s.next())
	r.wait(time.Second)
	r.push("a", 0)
	require.False(t, s.next(), "had a value between sent a message, it would have come first")
	r.wait(time.Second)
	r.push("b", 1)
	require.True(t, s.next(), "a new pod")
	late := r.stream(kserve)
	require.True(t, late.next(), "a stream that opens later starts from now")
	require.Empty(t, s.got)
}

func TestStreamHeedsTheActivationTarget(t *testing.T) {
	r := newRig(t, Options{})
	s := r.stream(with(kserve, "activationTargetValue", "5", "clampMin", "9"))
	require.False(t, s.next())
	r.push("a", 5)
	r.wait(time.Second)
	r.push("a", 6)
	require.True(t, s.next())
	require.Empty(t, s.got)
}

// TestStreamSaysNothingWhileHeld: holding is not a change, nor is its end.
func TestStreamSaysNothingWhileHeld(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 5)
	s := r.stream(kserve)
	require.True(t, s.next())
	heard := testutil.ToFloat64(r.server.metrics.answers[causeGone])
	r.wait(10 * time.Minute)
	r.store.Sweep() // the series is freed
	require.Eventually(t, func() bool { return testutil.ToFloat64(r.server.metrics.answers[causeGone]) > heard }, patience, time.Millisecond)
	heard = testutil.ToFloat64(r.server.metrics.answers[causeValue])
	r.push("a", 7)
	require.Eventually(t, func() bool { return testutil.ToFloat64(r.server.metrics.answers[causeValue]) > heard }, patience, time.Millisecond)
	r.wait(time.Second)
	r.push("a", 0)
	require.False(t, s.next())
	r.server.Stop()
	require.ErrorIs(t, s.ended(), io.EOF)
	require.Empty(t, s.got)
}

func TestStreamHearsGracefulEnd(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 5)
	s := r.stream(kserve)
	require.True(t, s.next())
	r.wait(time.Second)
	r.end("a")
	require.False(t, s.next())
}

func TestStopEndsStreamsWithOK(t *testing.T) {
	r := newRig(t, Options{})
	s := r.stream(kserve)
	s.next()
	spec, err := r.client.StreamMetricSpec(t.Context(), ref(kserve))
	require.NoError(t, err)
	_, err = spec.Recv()
	require.NoError(t, err)
	r.server.Stop()
	r.server.Stop() // twice does no harm
	require.ErrorIs(t, s.ended(), io.EOF)
	_, err = spec.Recv()
	require.ErrorIs(t, err, io.EOF)
}

func TestAbandonedStreamGivesItsSlotBack(t *testing.T) {
	r := newRig(t, Options{MaxStreams: 1})
	s := r.stream(kserve)
	s.next()
	require.InDelta(t, 1, testutil.ToFloat64(r.server.metrics.streams), 0)
	err := r.stream(kserve).ended()
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.ErrorContains(t, err, "--max-streams")
	s.stop()
	require.Equal(t, codes.Canceled, status.Code(s.ended()))
	require.Eventually(t, func() bool { return len(r.server.slots) == 0 }, patience, time.Millisecond)
	r.stream(kserve).next()
}

func TestManyStreamsEachHearTheirOwn(t *testing.T) {
	r := newRig(t, Options{})
	busy, idle := make([]*stream, 50), make([]*stream, 50)
	for i := range busy {
		busy[i] = r.stream(kserve)
		idle[i] = r.stream(with(kserve, "metricQuery", `sum(vllm:num_requests_running{namespace="other"})`))
	}
	for i := range busy {
		require.False(t, busy[i].next())
		require.False(t, idle[i].next())
	}
	r.push("a", 1)
	for i := range busy {
		require.True(t, busy[i].next())
		require.Empty(t, idle[i].got)
	}
}

// BenchmarkStreamIsActive is the time from the push of a sample to the change
// on an open stream, over a real connection.
func BenchmarkStreamIsActive(b *testing.B) {
	r := newRig(b, Options{})
	c, err := r.client.StreamIsActive(b.Context(), ref(kserve))
	require.NoError(b, err)
	recv := func() *pb.IsActiveResponse {
		m, err := c.Recv()
		require.NoError(b, err)
		return m
	}
	recv()
	b.ResetTimer()
	for i := range b.N {
		r.wait(time.Second)
		r.push("a", float64((i+1)%2))
		recv()
	}
}
