package e2e

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers"
	"github.com/kedacore/keda/v2/pkg/scalers/scalersconfig"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
)

// component is what KServe calls the predictor of the page's example: the name
// of its Deployment and of its ScaledObject.
const component = "huggingface-fbopt-predictor"

// callTimeout bounds one reading. KEDA itself sets no deadline; a scaler that
// blocks must fail the test.
const callTimeout = 5 * time.Second

// wrapped is KServe's textual wrapping of a user's query.
func wrapped(query, namespace string) string {
	return fmt.Sprintf("sum(%s{namespace=%q, deployment=%q})", query, namespace, component)
}

// trigger is the ScaledObject KServe renders, as KEDA hands it to its scalers.
func (a addresses) trigger(namespace, query, target string) *scalersconfig.ScalerConfig {
	return &scalersconfig.ScalerConfig{
		ScalableObjectName:      component,
		ScalableObjectNamespace: namespace,
		ScalableObjectType:      "ScaledObject",
		TriggerIndex:            0,
		TriggerMetadata: map[string]string{
			"metricQuery": query, "targetValue": target, "scalerAddress": a.keda,
		},
	}
}

// consumer is KEDA's own external scaler for one trigger, with the name of the
// one metric it is to ask for.
type consumer struct {
	scaler scalers.Scaler
	metric string
}

// consume builds KEDA's client and asks for the metric's name, as KEDA does
// before anything else.
func (a addresses) consume(t testing.TB, namespace, query, target string) *consumer {
	t.Helper()
	s, err := scalers.NewExternalScaler(a.trigger(namespace, query, target))
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
	defer cancel()
	specs := s.GetMetricSpecForScaling(ctx)
	require.Len(t, specs, 1, "metric specs for %s", query)
	return &consumer{scaler: s, metric: specs[0].External.Metric.Name}
}

// reading is one answer to one of KEDA's polls.
type reading struct {
	value  float64
	active bool
}

func (c *consumer) read(ctx context.Context) (reading, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	values, active, err := c.scaler.GetMetricsAndActivity(ctx, c.metric)
	if err != nil {
		return reading{}, err
	}
	if len(values) != 1 {
		return reading{}, fmt.Errorf("%d values: %v", len(values), values)
	}
	return reading{value: values[0].Value.AsApproximateFloat64(), active: active}, nil
}

// becomes waits for a reading. What the readings before it were does not matter
// unless allowed says so: it sees every reading and fails the test by an error.
func (c *consumer) becomes(t testing.TB, within time.Duration, want reading, delta float64, allowed ...func(reading, error) error) {
	t.Helper()
	poll.Until(t, within, func(ctx context.Context) error {
		got, err := c.read(ctx)
		for _, check := range allowed {
			if bad := check(got, err); bad != nil && ctx.Err() == nil {
				t.Fatalf("on the way to %+v: %v", want, bad)
			}
		}
		if err != nil {
			return err
		}
		if math.Abs(got.value-want.value) > delta || got.active != want.active {
			return fmt.Errorf("reading %+v, want %+v", got, want)
		}
		return nil
	})
}

// busyOrHeld allows everything but an answer that would take a busy workload's
// replicas away.
func busyOrHeld(got reading, err error) error {
	if err == nil && (got.value <= 0 || !got.active) {
		return fmt.Errorf("a busy workload reads %+v", got)
	}
	return nil
}

// answered allows no error.
func answered(_ reading, err error) error { return err }

// between allows values in a range and no error.
func between(low, high float64) func(reading, error) error {
	return func(got reading, err error) error {
		if err == nil && (got.value < low || got.value > high) {
			return fmt.Errorf("%v is not between %v and %v", got.value, low, high)
		}
		return err
	}
}

// held waits for an error in place of an answer and returns it. Until then the
// readings have to be busy: zero would be the end of the pods.
func (c *consumer) held(t testing.TB, within time.Duration) (held error) {
	t.Helper()
	poll.Until(t, within, func(ctx context.Context) error {
		got, err := c.read(ctx)
		if bad := busyOrHeld(got, err); bad != nil {
			t.Fatal(bad)
		}
		if err == nil {
			return fmt.Errorf("still answered: %+v", got)
		}
		// An answer that does not come is not one that asks KEDA to hold.
		if code := status.Code(err); code == codes.DeadlineExceeded || code == codes.Canceled {
			return err
		}
		held = err
		return nil
	})
	return held
}
