package scaler

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// gated is a query that the engine evaluates, and of which the test counts the
// evaluations.
const gated = "sum(vllm:num_requests_running) + 0 * test_gate(0)"

func (r *rig) state(md map[string]string) *state {
	r.t.Helper()
	q, err := r.server.lookup(r.t.Context(), ref(md), rpcActive)
	require.NoError(r.t, err)
	return q.state
}

// queued returns how many triggers are queued, the costly ones last.
func (e *evaluator) queued() [2]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return [2]int{len(e.queues[0]), len(e.queues[1])}
}

// TestAChangeQueuesATriggerOnce, however many follow.
func TestAChangeQueuesATriggerOnce(t *testing.T) {
	gate := newGate(t)
	r := gate.rig(Options{})
	md := metricQuery(gated)
	r.push("a", 1)
	r.require(md, 1, true)
	require.Equal(t, [2]int{}, r.server.evaluator.queued())
	gate.evaluations()
	for i := range 100 {
		r.wait(time.Millisecond)
		r.push("a", float64(i))
		r.push(fmt.Sprint("b", i), 1)
	}
	queued := r.server.evaluator.queued()
	require.Equal(t, 1, queued[0]+queued[1])
	require.Zero(t, gate.evaluations(), "pushes do not evaluate")
	r.server.Tick(t.Context())
	require.EqualValues(t, 1, gate.evaluations())
	require.Equal(t, [2]int{}, r.server.evaluator.queued())
	r.push("a", 1)
	queued = r.server.evaluator.queued()
	require.Equal(t, 1, queued[0]+queued[1], "the next change queues it again")
}

// TestCostlyTriggersHaveTheirOwnQueue: cheap ones do not wait for them.
func TestCostlyTriggersHaveTheirOwnQueue(t *testing.T) {
	r := newRig(t, Options{})
	costlyMD := metricQuery("max(vllm:num_requests_running)")
	r.push("a", 1)
	r.require(kserve, 1, true)
	r.require(costlyMD, 1, true)
	r.state(kserve).took.Store(int64(costly))
	r.state(costlyMD).took.Store(int64(costly) + 1)
	r.wait(time.Second)
	r.push("a", 2)
	require.Equal(t, [2]int{1, 1}, r.server.evaluator.queued())
	r.server.Tick(t.Context())
	require.Equal(t, [2]int{}, r.server.evaluator.queued())
	require.InDelta(t, 2, r.state(kserve).last.Load().value, 0)
	require.InDelta(t, 2, r.state(costlyMD).last.Load().value, 0)
}

// TestExplainReportsAnEvaluationThatCameLate, and no longer than it does.
func TestExplainReportsAnEvaluationThatCameLate(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 1)
	r.require(kserve, 1, true)
	for _, lag := range []time.Duration{time.Second, 3 * time.Second, 0} {
		r.push("a", 2)
		r.wait(lag)
		r.server.Tick(t.Context())
		v, err := r.server.Explain(t.Context(), r.state(kserve).key.Object, 1)
		require.NoError(t, err)
		if lag <= time.Second {
			require.Empty(t, v.Triggers[0].Now.Warning)
		} else {
			require.Contains(t, v.Triggers[0].Now.Warning, "evaluates this one 3s after its series change")
		}
	}
}

// TestAPollOfACleanTriggerDoesNotEvaluate.
func TestAPollOfACleanTriggerDoesNotEvaluate(t *testing.T) {
	gate := newGate(t)
	r := gate.rig(Options{})
	md := metricQuery("sum(vllm:num_requests_running) + 0 * test_gate(0) + sum(rate(vllm:num_requests_running[1m])) * 0")
	instant := metricQuery(gated)
	r.pods(1)
	r.require(instant, 1, true)
	r.require(md, 1, true)
	gate.evaluations()
	for range 10 {
		r.require(instant, 1, true)
	}
	require.Zero(t, gate.evaluations())
	r.wait(7499 * time.Millisecond)
	r.require(instant, 1, true)
	require.Zero(t, gate.evaluations(), "time changes nothing until the series is late")
	r.require(md, 1, true)
	require.NotZero(t, gate.evaluations(), "a window moves")
	r.push("other", 0)
	r.require(instant, 1, true)
	require.EqualValues(t, 1, gate.evaluations(), "a poll of a dirty trigger evaluates once")
}

// TestAFailureIsNotKept: the next poll evaluates again.
func TestAFailureIsNotKept(t *testing.T) {
	gate := newGate(t)
	r := gate.rig(Options{})
	md := metricQuery(gated)
	r.push("a", 3)
	boom := errors.New("boom")
	gate.at(1, func() error { return boom })
	_, err := r.client.GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: ref(md)})
	require.ErrorContains(t, err, "evaluation failed")
	r.require(md, 3, true)
}

// TestDecisionsComeInOrder: a poll that evaluated older data does not replace the
// decision of one that evaluated newer data.
func TestDecisionsComeInOrder(t *testing.T) {
	gate := newGate(t)
	r := gate.rig(Options{})
	md := metricQuery(gated)
	r.push("a", 5)
	r.require(md, 5, true)
	entered, leave := make(chan struct{}), make(chan struct{})
	gate.at(1, func() error {
		close(entered)
		<-leave
		return nil
	})
	r.wait(time.Second)
	r.push("a", 4)
	st := r.state(md)
	var all sync.WaitGroup
	first, second := make(chan float64, 1), make(chan float64, 1)
	ask := func(got chan float64) {
		d, err := r.server.current(t.Context(), st)
		if err != nil {
			t.Error(err)
			return
		}
		got <- d.value
	}
	all.Go(func() { ask(first) })
	<-entered // the first evaluates, with the trigger's lock
	r.wait(time.Second)
	r.push("a", 0)
	_, clean := st.clean(r.now())
	require.False(t, clean)
	all.Go(func() { ask(second) })
	close(leave)
	all.Wait()
	<-first
	require.InDelta(t, 0, <-second, 0, "a change during an evaluation counts")
	require.InDelta(t, 0, st.last.Load().value, 0)
	require.False(t, st.shown.Load())
}

// TestTriggersWithoutQuestionsLetTheirSeriesGo, and take them again.
func TestTriggersWithoutQuestionsLetTheirSeriesGo(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 5)
	r.require(kserve, 5, true)
	require.Equal(t, 1, r.store.SelectedCount())
	r.wait(forgetAfter - time.Second)
	r.push("a", 5)
	r.tick()
	require.Equal(t, 1, r.store.SelectedCount())
	r.wait(2 * time.Second)
	r.tick()
	require.Zero(t, r.store.SelectedCount())
	require.Empty(t, r.server.evaluator.open)
	r.push("a", 6)
	r.require(kserve, 6, true)
	require.Equal(t, 1, r.store.SelectedCount())
}

// TestRunEvaluatesInTheBackground: a push reaches a stream at once, and what only
// time brings within a second.
func TestRunEvaluatesInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, logs: &lines{}}
		r.open(Options{}, store.Options{Now: time.Now}, query.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = r.server.Run(ctx) })
		push := func(metric string, v float64) {
			r.ms.Store(time.Now().UnixMilli())
			r.put(metric, "a", v)
		}
		s := r.stream(metricQuery("sum(x)"))
		require.False(t, s.next())
		other := r.stream(metricQuery("avg(x) + 0 * max(y)", "activationTargetValue", "1"))
		require.False(t, other.next())

		pushed := time.Now()
		push("x", 3)
		require.True(t, s.next())
		require.Zero(t, time.Since(pushed))
		for range 10 {
			time.Sleep(step)
			push("x", 3)
			push("y", 0)
		}
		require.True(t, other.next())
		time.Sleep(step)
		push("x", 0)
		require.False(t, s.next())
		require.False(t, other.next())
		time.Sleep(step)
		push("x", 5)
		last := time.Now()
		require.True(t, s.next())
		require.True(t, other.next())
		// From now on nothing is pushed: the load is reported until it is forgotten.
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, "partial_loss", r.cause(metricQuery("sum(x)")))
		require.Less(t, r.last(metricQuery("sum(x)")).At.Sub(last), 10*time.Second)
		time.Sleep(time.Minute + 2*time.Second)
		synctest.Wait()
		require.Equal(t, "hold_silent", r.cause(metricQuery("sum(x)")))
		require.InDelta(t, 120, r.last(metricQuery("sum(x)")).At.Sub(last).Seconds(), 1)
		require.Empty(t, s.got)

		cancel()
		running.Wait()
		s.stop()
		other.stop()
	})
}

// TestStopOfRunDoesNotWait for the pause that makes up for evaluations.
func TestStopOfRunDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		paused := make(chan bool)
		go func() { paused <- wait(ctx, nil, time.After(time.Hour)) }()
		synctest.Wait()
		cancel()
		require.False(t, <-paused)
		began := time.Now()
		require.True(t, wait(t.Context(), nil, time.After(time.Second)))
		require.Equal(t, time.Second, time.Since(began))
	})
}

// sink is a stream without a connection. It has what was sent last, and checks that
// only changes are.
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

// TestStreamsAgainstTheModel: pods come, push, end and are forgotten, all at the same
// time and while polls ask, the evaluator works and streams open and close. Whenever it
// is quiet, each stream must have what the model knows from the values that were pushed
// last.
func TestStreamsAgainstTheModel(t *testing.T) {
	const pods, targets, rounds = 3, 3, 300
	r := newRig(t, Options{})
	queries := []string{kserve[keyQuery], kserve[keyQuery] + " + 0"} // from the samples, and by the engine
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
	for _, text := range queries {
		for target := range targets {
			l := &listening{md: metricQuery(text, keyActivation, strconv.Itoa(target)), target: target}
			l.sink, l.cancel = open(l.md)
			all = append(all, l)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	sum, generation := 0.0, 0
	check := func(round int) {
		r.server.Tick(t.Context())
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
		pushing.Go(func() { r.server.Tick(t.Context()) })
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
		check(round)
		switch rnd.IntN(12) {
		case 0: // a rollout, whose pods have nothing to do any more
			for pod := range values {
				r.ms.Add(1)
				r.push(fmt.Sprint("pod", pod, "-", generation), 0)
				r.ms.Add(1)
				r.end(fmt.Sprint("pod", pod, "-", generation))
			}
			generation++
			sum = 0
		case 1: // no pod pushes: the streams stay as they are
			r.wait(10 * time.Minute)
			r.store.Sweep()
		}
		check(round)
	}
	for _, l := range all {
		l.cancel()
	}
	running.Wait()
}

// TestACallerThatLeaves during an evaluation takes the change with it that the evaluation
// has noticed. The next answer is of the new data all the same. So is each answer during an
// evaluation.
func TestACallerThatLeaves(t *testing.T) {
	r := newRig(t, Options{})
	r.pods(3, 4)
	r.require(kserve, 7, true)
	st := r.server.objects.of(model)[0]
	r.wait(time.Millisecond)
	r.pushAll(3, 6)
	gone, leave := context.WithCancel(t.Context())
	leave()
	_, err := r.server.current(gone, st)
	require.ErrorIs(t, err, context.Canceled)
	r.require(kserve, 9, true)

	st.begun.Add(1) // as an evaluation begins
	_, err = st.reader.Survey(t.Context(), 0)
	require.NoError(t, err)
	_, clean := st.clean(r.now())
	require.False(t, clean, "a poll waits for the evaluation")
}
