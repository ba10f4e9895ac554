package e2e

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers"
	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// stopWithin is how long a SIGTERM may take, whatever streams are open.
const stopWithin = 5 * time.Second

// TestTerminate ends the product under open streams, of which KEDA forgives
// only an end without an error.
func TestTerminate(t *testing.T) {
	t.Parallel()
	const namespace = "terminate"
	s := startScaler(t)
	s.pusher(t, namespace).push(t, 3)
	client, ref := s.raw(t), s.ref(namespace, wrapped(running, namespace), "4")
	active, err := client.StreamIsActive(t.Context(), ref)
	require.NoError(t, err)
	first, err := active.Recv()
	require.NoError(t, err)
	require.True(t, first.Result)
	specs, err := client.StreamMetricSpec(t.Context(), ref)
	require.NoError(t, err)
	_, err = specs.Recv()
	require.NoError(t, err)

	told := time.Now()
	s.Signal(t)
	_, err = active.Recv()
	require.True(t, errors.Is(err, io.EOF), "StreamIsActive ended with %v", err)
	_, err = specs.Recv()
	require.True(t, errors.Is(err, io.EOF), "StreamMetricSpec ended with %v", err)
	select {
	case <-s.Exited():
	case <-time.After(stopWithin):
		t.Fatalf("still running %s after SIGTERM", stopWithin)
	}
	t.Logf("exited %s after SIGTERM", time.Since(told).Round(time.Millisecond))
	require.Zero(t, s.ExitCode())
}

// TestWarmUp asks a process that has just started, before the first sender has
// found it and after: there may be others, but what has come is active already.
func TestWarmUp(t *testing.T) {
	t.Parallel()
	const namespace = "warm-up"
	s := startScaler(t, "--warm-up=1h")
	consumer := s.consume(t, namespace, wrapped(running, namespace), "4")
	require.Error(t, consumer.held(t, follows))
	activity := s.watch(t, namespace, wrapped(running, namespace), "4")
	s.pusher(t, namespace).push(t, 3)
	activity.becomes(t, true)
	held := consumer.held(t, follows)
	require.ErrorContains(t, held, "for the senders to come back")
	require.ErrorContains(t, held, "of what has been pushed the query is 3")
}

// TestBadMetadata is refused by the name of the key. Without a target KEDA's client
// has no spec at all; with one KEDA goes on to ask what it shows the answer of.
func TestBadMetadata(t *testing.T) {
	t.Parallel()
	const namespace = "bad"
	s := startScaler(t)
	client := s.raw(t)
	good := wrapped(running, namespace)
	for _, test := range []struct{ name, query, target, key string }{
		{"a query that does not parse", "sum(" + running + `{namespace="bad"`, "4", "metricQuery"},
		{"no query", "", "4", "metricQuery"},
		{"a target of zero", good, "0", "targetValue"},
		{"a target that is no number", good, "four", "targetValue"},
		{"a target that KEDA would round to zero", good, "0.0004", "targetValue"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := client.IsActive(t.Context(), s.ref(namespace, test.query, test.target))
			require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
			require.ErrorContains(t, err, test.key)
			t.Log(status.Convert(err).Message())

			consumer, err := scalers.NewExternalScaler(s.trigger(namespace, test.query, test.target))
			require.NoError(t, err)
			specs := consumer.GetMetricSpecForScaling(t.Context())
			if test.key == "targetValue" {
				require.Empty(t, specs)
			} else {
				require.Len(t, specs, 1)
				_, _, err := consumer.GetMetricsAndActivity(t.Context(), specs[0].External.Metric.Name)
				require.ErrorContains(t, err, test.key)
			}
			require.NoError(t, consumer.Close(t.Context()))
		})
	}
	t.Run("a good one beside them", func(t *testing.T) {
		response, err := client.GetMetricSpec(t.Context(), &externalscaler.ScaledObjectRef{
			Name: component, Namespace: namespace, ScalerMetadata: map[string]string{"metricQuery": good, "targetValue": "4"},
		})
		require.NoError(t, err)
		require.Len(t, response.MetricSpecs, 1)
	})
}
