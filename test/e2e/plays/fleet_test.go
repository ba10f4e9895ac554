//go:build linux

package plays

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/stage"
)

const (
	fleet      = 200
	broken     = 137 // of them: its query yields a number for every model
	unreadable = 73  // of them: a parenthesis is missing
	// fleetWithin is generous: KEDA takes a while to make 200 autoscalers, and
	// the HPA controller five at a time.
	fleetWithin = 5 * time.Minute
)

// fleetQueries are the ways in which the fleet asks; each is as much as its
// model has requests in flight.
var fleetQueries = []string{
	`sum(%[1]s{%[2]s="%[3]s"})`,
	`sum by (%[2]s) (%[1]s{%[2]s="%[3]s"})`,
	`sum(max_over_time(%[1]s{%[2]s="%[3]s"}[5s]))`,
	`clamp_max(sum(%[1]s{%[2]s=~"%[3]s"}), 100)`,
	`sum(%[1]s{%[2]s="%[3]s"}) * 2 / 2`,
}

const scaled = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: 1
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {containers: [{name: model, image: model}]}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: %[1]s}
spec:
  scaleTargetRef: {name: %[1]s}
  minReplicaCount: 1
  maxReplicaCount: 3
  triggers:
    - type: external
      metadata:
        scalerAddress: keda-otel-scaler.keda.svc:4318
        metricQuery: '%[2]s'
        targetValue: "4"
---
`

// playFleet has 200 ScaledObjects, each with a query of its own. Two of them are
// wrong, which is their own affair.
func playFleet(t *testing.T, s *stage.Stage) {
	const ns = "play-7"
	s.Namespace(t, ns)
	var models []string
	for i := range fleet {
		models = append(models, fmt.Sprintf("model-%d", i))
	}
	gateway := stage.StartGateway(t, models)
	var manifests strings.Builder
	for i, model := range models {
		query := fmt.Sprintf(fleetQueries[i%len(fleetQueries)], stage.GatewayMetric, stage.GatewayLabel, model)
		switch i {
		case broken:
			query = fmt.Sprintf("sum by (%s) (%s)", stage.GatewayLabel, stage.GatewayMetric)
		case unreadable:
			query = strings.TrimSuffix(stage.GatewayQuery(model), ")")
		}
		fmt.Fprintf(&manifests, scaled, model, query)
	}
	r := s.Record(t, "play 7: a fleet of 200", stage.Workload{
		Namespace: ns, Names: models, Unit: "requests in flight",
		Load:  func() float64 { return float64(gateway.Active()) },
		Value: func(ctx context.Context) (float64, error) { return stage.Query(ctx, "sum("+stage.GatewayMetric+")") },
	})
	// What a query yields depends on the data; what it says does not.
	err := s.Check(t.Context(), manifests.String())
	require.ErrorContains(t, err, "unclosed left parenthesis")
	t.Logf("keda-otel-scaler check: %v", err)
	since := r.Mark("kubectl apply")
	s.Apply(t, ns, manifests.String())

	load, want := map[string]int{}, map[string]int{}
	for i, model := range models {
		if i == broken || i == unreadable {
			continue
		}
		want[model] = 1 + i%3
		load[model] = 4 * want[model]
	}
	_, err = gateway.Set(t.Context(), load)
	require.NoError(t, err)
	var took []time.Duration
	poll.Until(t, fleetWithin, func(context.Context) error {
		took = took[:0]
		for model, n := range want {
			at, there := r.Reached(model, n)
			if !there {
				return fmt.Errorf("%s has not %d replicas", model, n)
			}
			if n > 1 {
				took = append(took, at.Sub(since))
			}
		}
		return nil
	})
	slices.Sort(took)
	t.Logf("from kubectl apply to the replicas wanted: p50 %s, p99 %s",
		quantile(took, 0.50).Round(10*time.Millisecond), quantile(took, 0.99).Round(10*time.Millisecond))

	describes(t, s, ns, models[broken], "the result is not one finite number")
	describes(t, s, ns, models[unreadable], "unclosed left parenthesis")
	for _, i := range []int{broken, unreadable} {
		deployment, err := s.Get(t.Context(), stage.Deployments, ns, models[i])
		require.NoError(t, err)
		require.Equal(t, 1, stage.Number(deployment, "spec", "replicas"))
	}
}

// describes waits until kubectl describe says why a ScaledObject does not scale.
func describes(t *testing.T, s *stage.Stage, namespace, name, why string) {
	t.Helper()
	poll.Until(t, stage.Polled, func(ctx context.Context) error {
		text, err := s.Try(ctx, "", "describe", "scaledobject", name, "--namespace="+namespace)
		if err == nil && !strings.Contains(text, why) {
			err = fmt.Errorf("it does not say %q:\n%s", why, text)
		}
		return err
	})
	t.Log("\n" + s.Kubectl(t, "get", "events", "--namespace="+namespace, "--field-selector=involvedObject.kind=ScaledObject,involvedObject.name="+name))
}
