package scaler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

var model = Object{"default", "huggingface-fbopt-predictor"}

func TestHistoryIsBoundedAndNewestFirst(t *testing.T) {
	r := newRig(t, Options{})
	for i := range 3 * maxTransitions {
		r.wait(time.Second)
		r.push("a", float64(i%2))
		r.require(kserve, float64(i%2), i%2 == 1)
		r.require(kserve, float64(i%2), i%2 == 1) // changes nothing
	}
	sum, err := r.server.Remembered(model)
	require.NoError(t, err)
	transitions := sum.Triggers[0].Transitions
	require.Len(t, transitions, maxTransitions)
	for i, tr := range transitions {
		require.Equal(t, r.ms.Load()-int64(i)*1000, tr.At.UnixMilli())
		require.Equal(t, i%2 == 0, tr.Active)
		require.Equal(t, "value", tr.Before)
	}
}

func TestErrorsAreCountedWhileTheyRepeat(t *testing.T) {
	r := newRig(t, Options{})
	md := metricQuery(kserve[keyQuery] + strings.Repeat(" + 0", 2000))
	q, err := r.server.lookup(t.Context(), ref(md), rpcMetrics)
	require.NoError(t, err)
	st := q.state
	for i := range 2 * maxErrors {
		for second := range 3 {
			d := (&situation{
				trigger: q.trigger, plan: st.plan, at: int64(100*i+second) * 1000,
				err: fmt.Errorf("%w: %s has failed %d times", query.ErrEvaluation, st.plan, i),
			}).decide()
			st.mu.Lock()
			r.server.recordLocked(st, &d)
			st.mu.Unlock()
		}
	}
	sum, err := r.server.Remembered(model)
	require.NoError(t, err)
	failures := sum.Triggers[0].Failures
	require.Len(t, failures, maxErrors)
	for i, f := range failures {
		nth := 2*maxErrors - 1 - i
		require.EqualValues(t, 3, f.Count)
		require.Equal(t, time.Unix(int64(100*nth), 0), f.First)
		require.Equal(t, 2*time.Second, f.Last.Sub(f.First))
		require.Equal(t, fmt.Sprintf("evaluation failed: the query has failed %d times", nth), f.Text)
	}
	require.Equal(t, failures[0].Text, sum.Triggers[0].Told.Error)
	require.Len(t, sum.Triggers[0].Transitions, 1)
	require.Len(t, brief(strings.Repeat("é", maxText)), maxText+len("..."))
}

// TestResultsAreBounded: at most one a second, for the retention.
func TestResultsAreBounded(t *testing.T) {
	r := newRig(t, Options{})
	for i := range 1000 {
		r.wait(250 * time.Millisecond)
		r.push("a", float64(i))
		r.require(kserve, float64(i), i > 0)
	}
	sum, err := r.server.Remembered(model)
	require.NoError(t, err)
	results := sum.Triggers[0].Results
	require.Len(t, results, 120)
	for i, res := range results[:len(results)-1] {
		require.Equal(t, res.At/1000+1, results[i+1].At/1000)
	}
	last := results[len(results)-1]
	require.Equal(t, Result{At: r.ms.Load(), Current: 999, Reported: 999, Active: true}, last)
	require.Equal(t, causeValue, causes[last.Cause])
}

// TestExplainReportsTheDecision that KEDA would get, and counts no question.
func TestExplainReportsTheDecision(t *testing.T) {
	reg := prometheus.NewRegistry()
	r := newRig(t, Options{Registerer: reg})
	r.pods(4, 5)
	r.require(kserve, 9, true)
	asked := func() []Asked {
		sum, err := r.server.Remembered(model)
		require.NoError(t, err)
		return sum.Triggers[0].Asked
	}
	before, answers := asked(), testutil.ToFloat64(r.server.metrics.answers[causeValue])
	r.steps(2, func() { r.pushAll(4) })
	v, err := r.server.Explain(t.Context(), model, 10)
	require.NoError(t, err)
	now := v.Triggers[0].Now
	require.Equal(t, "partial_loss", now.Cause)
	require.InDelta(t, 9, now.Reported, 0)
	require.InDelta(t, 4, *now.Current, 0)
	require.Contains(t, now.Warning, "1 series with load")
	require.EqualValues(t, 3, now.Desired)
	require.Equal(t, 1, v.Triggers[0].Explanation.Selectors[0].Late)
	require.Equal(t, before, asked())
	require.InDelta(t, answers, testutil.ToFloat64(r.server.metrics.answers[causeValue]), 0)
	require.InDelta(t, 0, testutil.ToFloat64(r.server.metrics.answers[causeLoss]), 0)
	r.require(kserve, 9, true)
}

func TestForgottenTriggersAreNotListed(t *testing.T) {
	r := newRig(t, Options{})
	var err error
	r.server.triggers, err = lru.NewWithEvict(3, r.server.objects.evictedLocked)
	require.NoError(t, err)
	ask := func(name, target string) {
		_, err := r.client.GetMetricSpec(t.Context(), &pb.ScaledObjectRef{Namespace: "default", Name: name,
			ScalerMetadata: with(kserve, "activationTargetValue", target)})
		require.NoError(t, err)
	}
	ask("a", "1")
	ask("a", "2")
	ask("b", "1")
	require.Equal(t, []Object{{"default", "a"}, {"default", "b"}}, r.server.Objects())
	sum, err := r.server.Remembered(Object{"default", "a"})
	require.NoError(t, err)
	require.Equal(t, 2, sum.Total)
	require.Nil(t, sum.Triggers[0].Told, "KEDA has asked for the target only")
	ask("c", "1")
	ask("c", "2")
	require.Equal(t, []Object{{"default", "b"}, {"default", "c"}}, r.server.Objects())
	_, err = r.server.Remembered(Object{"default", "a"})
	require.ErrorIs(t, err, ErrUnknown)
	require.Len(t, r.server.objects.triggers, 2)
	_, err = r.server.Explain(t.Context(), Object{"default", "a"}, 1)
	require.ErrorIs(t, err, ErrUnknown)
	require.ErrorIs(t, r.server.Follow(t.Context(), Object{"default", "a"}, 1, nil), ErrUnknown)
	require.Empty(t, r.server.objects.watchers.all)
}

func TestShownTriggersAreBounded(t *testing.T) {
	r := newRig(t, Options{})
	for i := range MaxShown + 5 {
		r.wait(time.Second)
		r.require(with(kserve, "activationTargetValue", fmt.Sprint(i)), 0, false)
	}
	v, err := r.server.Explain(t.Context(), model, 1)
	require.NoError(t, err)
	require.Len(t, v.Triggers, MaxShown)
	require.Equal(t, MaxShown+5, v.Total)
	require.InDelta(t, MaxShown+4, v.Triggers[0].Metadata.Activation, 0, "the one that was asked about last")
}

func TestUnreadKeysAreBounded(t *testing.T) {
	md := with(kserve)
	for i := range 3 * maxUnread {
		md[fmt.Sprint(strings.Repeat("x", 1000), i)] = "1"
	}
	tr, err := parseTrigger(md, Missing{})
	require.NoError(t, err)
	require.Len(t, tr.Unread, maxUnread)
	require.Less(t, len(tr.Unread[0]), 1000)
}

// TestFollowEndsWithItsReader, and leaves no watch behind.
func TestFollowEndsWithItsReader(t *testing.T) {
	r := newRig(t, Options{})
	r.require(kserve, 0, false)
	gone := errors.New("gone")
	require.ErrorIs(t, r.server.Follow(t.Context(), model, 1, func(View) error { return gone }), gone)
	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, r.server.Follow(ctx, model, 1, func(View) error { cancel(); return nil }), context.Canceled)
	require.Empty(t, r.server.objects.watchers.all)
}

// TestNotingWhoAsksAllocatesNothing: every poll does it.
func TestNotingWhoAsksAllocatesNothing(t *testing.T) {
	tr, err := parseTrigger(kserve, Missing{})
	require.NoError(t, err)
	st := &state{}
	st.trigger.Store(tr)
	ctx := from(t.Context(), "fd00::7")
	require.Zero(t, testing.AllocsPerRun(100, func() { require.False(t, st.asks(asker(ctx), rpcMetrics, time.Unix(1, 0), tr)) }))
}
