package scaler

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// TestSettledMeansThatNothingWouldChange: neither on the stream nor in what is
// remembered of the trigger.
func TestSettledMeansThatNothingWouldChange(t *testing.T) {
	r := newRig(t, Options{})
	q, err := r.server.lookup(t.Context(), ref(kserve), rpcMetrics)
	require.NoError(t, err)
	s := &shown{decided: &q.state.decided}
	decide := func(v float64, err error) {
		q.state.decide(situation{trigger: q.trigger, value: v, err: err}, func(cause, cause, answer) {})
	}
	settled := func(busy, idle bool) {
		t.Helper()
		require.Equal(t, busy, s.Settled(5, true))
		require.Equal(t, idle, s.Settled(0, true))
	}
	settled(false, false)
	decide(1, nil)
	settled(false, false) // the stream has not sent anything
	s.last.set(true)
	settled(true, false)
	decide(0, nil)
	settled(false, false) // a poll has seen the load go, and it is back
	s.last.set(false)
	settled(false, true)
	decide(0, query.ErrEvaluation)
	settled(false, false) // held: that it goes on is logged
	decide(0, nil)
	settled(false, true)
	s.last.clear()
	settled(false, false) // the stream is looking for itself
}

// TestLateDecisionIsNotRemembered: a poll may be overtaken between its evaluation
// and its decision.
func TestLateDecisionIsNotRemembered(t *testing.T) {
	r := newRig(t, Options{})
	q, err := r.server.lookup(t.Context(), ref(kserve), rpcMetrics)
	require.NoError(t, err)
	decide := func(second int64, v float64) answer {
		return q.state.decide(situation{trigger: q.trigger, at: time.Unix(second, 0), value: v}, func(cause, cause, answer) {})
	}
	decide(2, 5)
	require.False(t, decide(1, 0).active, "as asked")
	require.True(t, q.state.lastActive())
	require.True(t, q.state.decided.is(true))
	decide(3, 0)
	require.False(t, q.state.lastActive())
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

// sink is a stream without a connection. It keeps what was sent last, and
// minds that only changes are.
type sink struct {
	grpc.ServerStream
	t   *testing.T
	ctx context.Context

	mu   sync.Mutex
	n    int
	last bool
}

func (s *sink) Context() context.Context { return s.ctx }

func (s *sink) Send(m *pb.IsActiveResponse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n > 0 && s.last == m.GetResult() {
		s.t.Errorf("%t was sent twice", s.last)
	}
	s.n++
	s.last = m.GetResult()
	return nil
}

func (s *sink) is(active bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n > 0 && s.last == active
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// meddler is a context that has something done between an evaluation and the
// decision that follows, which is when it is looked at.
type meddler struct {
	context.Context
	do atomic.Pointer[func()]
}

func (m *meddler) Err() error {
	if do := m.do.Swap(nil); do != nil {
		(*do)()
	}
	return m.Context.Err()
}

// TestChangeWhileAStreamDecidesIsNotLost: by what the stream was sent before, it
// would be none.
func TestChangeWhileAStreamDecidesIsNotLost(t *testing.T) {
	r := newRig(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	m := &meddler{Context: ctx}
	s := &sink{t: t, ctx: m}
	ended := make(chan error)
	go func() { ended <- r.server.StreamIsActive(ref(kserve), s) }()
	push := func(v float64) {
		r.wait(time.Second)
		r.push("a", v)
	}
	told := func(n int, active bool) {
		t.Helper()
		require.Eventually(t, func() bool { return s.is(active) && s.count() == n }, patience, time.Millisecond)
	}
	told(1, false)
	push(1)
	told(2, true)
	push(0)
	told(3, false)
	back := func() { push(0) }
	m.do.Store(&back)
	push(1)
	told(5, false)
	cancel()
	require.Error(t, <-ended)
}

// TestStreamsAgainstTheModel: pods come, push, end and are forgotten, all at
// the same time and while polls ask and streams open and close. Whenever it is
// quiet, each stream must have been told how things stand, which the model
// knows from the values that were pushed last.
func TestStreamsAgainstTheModel(t *testing.T) {
	const pods, targets, rounds = 3, 3, 400
	r := newRig(t, Options{})
	var asked atomic.Int64 // no two at the same time
	r.server.opts.Now = func() time.Time { return time.UnixMilli(r.ms.Load()).Add(time.Duration(asked.Add(1))) }
	metadata := func(query string, target int) map[string]string {
		return with(kserve, "metricQuery", query, "activationTargetValue", strconv.Itoa(target))
	}
	queries := []string{ // one that pushes evaluate, and one that they leave to the streams
		kserve["metricQuery"],
		kserve["metricQuery"] + " + 0",
	}
	var running sync.WaitGroup
	open := func(md map[string]string) (*sink, context.CancelFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &sink{t: t, ctx: ctx}
		running.Go(func() {
			if err := r.server.StreamIsActive(ref(md), s); !errors.Is(ctx.Err(), context.Canceled) {
				t.Errorf("the stream ended: %v", err)
			}
		})
		return s, cancel
	}
	type listening struct {
		*sink
		md     map[string]string
		target int
		cancel context.CancelFunc
	}
	var all []*listening
	for _, query := range queries {
		for target := range targets {
			l := &listening{md: metadata(query, target), target: target}
			l.sink, l.cancel = open(l.md)
			all = append(all, l)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	sum, generation := 0.0, 0
	told := func(round int) {
		for i, l := range all {
			require.Eventually(t, func() bool { return l.is(sum > float64(l.target)) }, patience, 100*time.Microsecond,
				"round %d, stream %d: the sum is %v", round, i, sum)
		}
	}
	for round := range rounds {
		values := [pods]int{}
		for pod := range values {
			values[pod] = rnd.IntN(2) * rnd.IntN(2) // mostly idle: the sum crosses all targets
		}
		pushes := rnd.IntN(4)
		var pushing sync.WaitGroup
		for pod, v := range values {
			name := fmt.Sprint("pod", pod, "-", generation)
			pushing.Go(func() {
				for i := range pushes {
					r.ms.Add(1)
					r.push(name, float64((v+pushes-1-i)%2))
				}
			})
		}
		pushing.Go(func() {
			for _, l := range all {
				_, _ = r.server.IsActive(t.Context(), ref(l.md))
			}
		})
		if reopened := all[rnd.IntN(len(all))]; rnd.IntN(4) == 0 {
			reopened.cancel()
			reopened.sink, reopened.cancel = open(reopened.md)
		}
		pushing.Wait()
		if pushes > 0 {
			sum = 0
			for _, v := range values {
				sum += float64(v)
			}
		}
		told(round)
		switch rnd.IntN(12) {
		case 0: // a rollout
			for pod := range values {
				r.ms.Add(1)
				r.end(fmt.Sprint("pod", pod, "-", generation))
			}
			generation++
			sum = 0
		case 1: // nobody pushes: whoever is told anything is told what was
			// A stream that has yet to look at the last push could not when the
			// clock has jumped. Those that look at something look at the clock first.
			last := int64(-1)
			require.Eventually(t, func() bool {
				before := last
				last = asked.Load()
				return before == last
			}, patience, 2*time.Millisecond)
			for _, l := range all {
				_, _ = r.server.IsActive(t.Context(), ref(l.md))
			}
			r.wait(10 * time.Minute)
			r.store.Sweep()
		}
		told(round)
	}
	for _, l := range all {
		l.cancel()
	}
	running.Wait()
}
