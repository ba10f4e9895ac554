package scaler

import (
	"context"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus"
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
		r.tick()
	}
	require.True(t, s.next())
	r.wait(time.Second)
	r.push("a", 0)
	r.tick()
	require.False(t, s.next(), "had a value between sent a message, it would have come first")
	r.wait(time.Second)
	r.push("b", 1)
	r.tick()
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
	r.tick()
	r.wait(time.Second)
	r.push("a", 6)
	r.tick()
	require.True(t, s.next())
	require.Empty(t, s.got)
}

// TestStreamSendsNothingDuringAHold: neither its begin nor its end is a change.
func TestStreamSendsNothingDuringAHold(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 5)
	s := r.stream(kserve)
	require.True(t, s.next())
	r.wait(10 * time.Minute)
	r.tick() // the series is freed
	r.tick()
	require.Equal(t, "hold_silent", r.cause(kserve))
	r.push("a", 7)
	r.tick()
	require.Equal(t, "value", r.cause(kserve))
	r.wait(time.Second)
	r.push("a", 0)
	r.tick()
	require.False(t, s.next())
	r.server.Stop()
	require.ErrorIs(t, s.ended(), io.EOF)
	require.Empty(t, s.got)
}

// TestStreamFollowsThePoll: what onMissing answers is sent as well.
func TestStreamFollowsThePoll(t *testing.T) {
	r := newRig(t, Options{})
	md := with(kserve, "onMissing", "zero")
	r.pods(5)
	s := r.stream(md)
	require.True(t, s.next())
	r.silence(20 * time.Second)
	r.require(md, 0, false)
	require.False(t, s.next())
}

// TestStreamHearsWhatOnlyTimeBrings: a series that becomes late, and one that is
// forgotten, without any push.
func TestStreamHearsWhatOnlyTimeBrings(t *testing.T) {
	t.Run("late", func(t *testing.T) {
		r := newRig(t, Options{})
		md := metricQuery("avg(vllm:num_requests_running)", "activationTargetValue", "3")
		r.pods(0, 4, 8)
		s := r.stream(md)
		require.True(t, s.next())
		r.steps(1, func() { r.pushAll(0, 0) })
		require.False(t, s.next(), "2.67, since the last pod still counts")
		r.silence(4 * time.Second)
		require.True(t, s.next(), "4 when the last pod was there last")
		r.require(md, 4, true)
	})
	t.Run("forgotten", func(t *testing.T) {
		r := newRig(t, Options{})
		r.pods(0, 3)
		s := r.stream(kserve)
		require.True(t, s.next())
		r.goOn(115*time.Second, 0)
		r.require(kserve, 3, true)
		require.Empty(t, s.got)
		r.goOn(10*time.Second, 0)
		require.False(t, s.next())
		r.require(kserve, 0, false)
	})
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
	registry := prometheus.NewRegistry()
	r := newRig(t, Options{MaxStreams: 1, Registerer: registry})
	s := r.stream(kserve)
	s.next()
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP keda_otel_scaler_streams Streams that KEDA has open.
# TYPE keda_otel_scaler_streams gauge
keda_otel_scaler_streams 1
`), "keda_otel_scaler_streams"))
	err := r.stream(kserve).ended()
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.ErrorContains(t, err, "--max-streams")
	s.stop()
	require.Equal(t, codes.Canceled, status.Code(s.ended()))
	require.Eventually(t, func() bool { return r.server.Streams() == 0 }, patience, time.Millisecond)
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
	r.tick()
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
		r.server.Tick(b.Context())
		recv()
	}
}

func TestStreamsOfOneQueryEachByTheirTarget(t *testing.T) {
	r := newRig(t, Options{})
	streams := make([]*stream, 10)
	for i := range streams {
		streams[i] = r.stream(with(kserve, "activationTargetValue", strconv.Itoa(i)))
		require.False(t, streams[i].next())
	}
	up := func(v float64) {
		r.wait(time.Second)
		r.push("a", v)
		r.tick()
	}
	for v := 1; v <= len(streams); v++ {
		up(float64(v))
		require.True(t, streams[v-1].next())
	}
	up(0)
	for _, s := range streams {
		require.False(t, s.next())
		require.Empty(t, s.got)
	}
}
