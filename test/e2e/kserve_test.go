package e2e

import (
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers"
	"github.com/stretchr/testify/require"
	v2 "k8s.io/api/autoscaling/v2"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/sidecar"
)

// TestKServeExample is the third example of KServe's KEDA page, from the model
// servers' metrics to what KEDA would tell the HPA, through the life of three
// pods.
func TestKServeExample(t *testing.T) {
	t.Parallel()
	const namespace = "example"
	const retention = 30 * time.Second
	// Without a warm-up: a trigger that KEDA asks about within it holds until the first push.
	s := startScaler(t, "--warm-up=0s", "--retention="+retention.String())
	query := wrapped(running, namespace)
	consumer := s.consume(t, namespace, query, "4")
	// The ScaledObject is there before the first pod: nothing has started yet.
	consumer.becomes(t, follows, reading{0, false}, 0)
	activity := s.watch(t, namespace, query, "4")
	activity.becomes(t, false)
	pods := s.startPods(t, namespace, 3, running)

	t.Run("the metric spec is one external metric with KServe's target", func(t *testing.T) {
		specs := consumer.scaler.GetMetricSpecForScaling(t.Context())
		require.Len(t, specs, 1)
		require.Equal(t, v2.ExternalMetricSourceType, specs[0].Type)
		target := specs[0].External.Target
		require.Equal(t, v2.AverageValueMetricType, target.Type)
		require.Equal(t, "4", target.AverageValue.String())
		require.Nil(t, target.Value)
	})
	t.Run("three busy pods are summed and active", func(t *testing.T) {
		setRunning(pods, 2, 3, 4)
		consumer.becomes(t, appears, reading{9, true}, 0)
		activity.becomes(t, true)
	})
	t.Run("three idle pods are zero and inactive", func(t *testing.T) {
		setRunning(pods, 0, 0, 0)
		consumer.becomes(t, follows, reading{0, false}, 0, answered)
		activity.becomes(t, false)
	})
	t.Run("load that comes back is seen", func(t *testing.T) {
		setRunning(pods, 5, 0, 0)
		consumer.becomes(t, follows, reading{5, true}, 0, answered)
		activity.becomes(t, true)
		setRunning(pods, 5, 1, 2)
		consumer.becomes(t, follows, reading{8, true}, 0, answered)
	})
	t.Run("pods that end in good order leave their value for one retention, then zero, and no error", func(t *testing.T) {
		// The scrape that fails makes the Collector send staleness markers. A failed scrape
		// of pods that go on looks the same, so the load stays until it is forgotten. The
		// value is as of the last push of a pod, so each pushes its load once more before.
		s.pushOnceMore(t, namespace, pods)
		ended := time.Now()
		for _, p := range pods {
			p.Stop(t)
		}
		consumer.becomes(t, retention+follows, reading{0, false}, 0, func(got reading, err error) error {
			if time.Since(ended) < retention-2*sidecar.ScrapeInterval { // the last samples are from up to one scrape before
				return only(8)(got, err)
			}
			return between(0, 8)(got, err) // one pod after the other is forgotten, as it ended
		})
		for _, p := range pods {
			require.Zero(t, p.Terminate(t))
			require.NotContains(t, p.Log(), "Exporting failed")
			require.NotContains(t, p.Log(), "Partial success")
		}
		consumer.becomes(t, follows, reading{0, false}, 0, answered)
		activity.becomes(t, false)
	})
	t.Run("the push stream said nothing but the transitions", func(t *testing.T) {
		require.Equal(t, []bool{false, true, false, true, false}, activity.seen())
	})
	require.Zero(t, s.Terminate(t))
}

// TestExternalPush lets KEDA's push scaler follow pushes whose every value and
// moment the test decides.
func TestExternalPush(t *testing.T) {
	t.Parallel()
	const namespace = "push"
	s := startScaler(t)
	query := wrapped(running, namespace)
	pusher := s.pusher(t, namespace)
	pusher.push(t, 0)
	s.consume(t, namespace, query, "4").becomes(t, follows, reading{0, false}, 0)

	activity := s.watch(t, namespace, query, "4")
	activity.becomes(t, false) // the current state, at open
	for range 2 {
		for _, load := range []float64{5, 6, 7, 0.5} {
			pusher.push(t, load)
			activity.becomes(t, true)
		}
		for range 3 {
			pusher.push(t, 0)
			activity.becomes(t, false)
		}
	}
	require.Equal(t, []bool{false, true, false, true, false}, activity.seen())

	specs, open := activity.specs(t)
	require.True(t, open, "the scaler does not stream metric specs")
	require.Len(t, specs, 1)
	require.Equal(t, "4", specs[0].External.Target.AverageValue.String())
}

// watch runs KEDA's push scaler for the trigger, as KEDA's operator does for
// the life of a ScaledObject.
func (a addresses) watch(t *testing.T, namespace, query, target string) *activity {
	t.Helper()
	push, err := scalers.NewExternalPushScaler(a.trigger(namespace, query, target))
	require.NoError(t, err)
	activity := newActivity(t.Context(), push)
	t.Cleanup(func() {
		activity.stop()
		_ = push.Close(t.Context())
	})
	return activity
}

// messageWithin bounds the way of a push to KEDA: it should be a millisecond,
// and a machine busy with other scenarios is no failure.
const messageWithin = 10 * time.Second
