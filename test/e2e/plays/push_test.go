//go:build linux

package plays

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/stage"
)

// rounds of 0 -> 1, spread over KEDA's polling interval so that a polled
// trigger meets every part of it.
const (
	rounds       = 20
	pollInterval = 30 * time.Second
)

// sleeping is a workload without replicas, and its ScaledObject.
const sleeping = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: 0
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
  minReplicaCount: 0
  maxReplicaCount: 3
  triggers:
    - type: %[2]s
      metadata:
        scalerAddress: keda-otel-scaler.keda.svc:4318
        metricQuery: '%[3]s'
        targetValue: "4"
---
`

// playPush wakes models up: a gateway says that a request waits, and the same
// export is heard by a trigger of type external-push and by one of type
// external, which KEDA polls.
func playPush(t *testing.T, s *stage.Stage) {
	const ns = "play-5"
	s.Namespace(t, ns)
	var models []string
	for i := range rounds {
		models = append(models, fmt.Sprintf("model-%d", i))
	}
	gateway := stage.StartGateway(t, models)
	recorders := map[string]*stage.Recorder{}
	for _, kind := range []string{"external-push", "external"} {
		var manifests strings.Builder
		var names []string
		for _, model := range models {
			names = append(names, kind+"-"+model)
			fmt.Fprintf(&manifests, sleeping, kind+"-"+model, kind, stage.GatewayQuery(model))
		}
		s.Apply(t, ns, manifests.String())
		recorders[kind] = s.Record(t, "play 5: 0 to 1, "+kind, stage.Workload{
			Namespace: ns, Names: names, Unit: "models with a request",
			Load:  func() float64 { return float64(gateway.Active()) },
			Value: func(ctx context.Context) (float64, error) { return stage.Query(ctx, "sum("+stage.GatewayMetric+")") },
		})
	}
	poll.Until(t, stage.Polled, func(ctx context.Context) error {
		// Not before KEDA has asked about each of them is a message of ours of use.
		out, err := s.Try(ctx, "", "get", "scaledobjects", "--namespace="+ns, "--no-headers",
			`--output=jsonpath={range .items[*]}{.status.conditions[?(@.type=="Active")].status}{"\n"}{end}`)
		if inactive := strings.Count(out, "False"); err == nil && inactive != 2*rounds {
			err = fmt.Errorf("%d of %d ScaledObjects are known to be inactive", inactive, 2*rounds)
		}
		return err
	})

	begun := make([]time.Time, rounds)
	ticker := time.NewTicker(pollInterval / rounds)
	defer ticker.Stop()
	for i, model := range models {
		<-ticker.C
		var err error
		begun[i], err = gateway.Set(t.Context(), map[string]int{model: 1})
		require.NoError(t, err)
	}
	took := map[string][]time.Duration{}
	for kind, r := range recorders {
		poll.Until(t, stage.Polled, func(context.Context) error {
			took[kind] = took[kind][:0]
			for i, model := range models {
				at, awake := r.Reached(kind+"-"+model, 1)
				if !awake {
					return fmt.Errorf("%s-%s has no replica", kind, model)
				}
				took[kind] = append(took[kind], at.Sub(begun[i]))
			}
			return nil
		})
		slices.Sort(took[kind])
		t.Logf("%s: from the export to spec.replicas 1, of %d: p50 %s, p99 %s", kind, rounds,
			quantile(took[kind], 0.50).Round(time.Millisecond), quantile(took[kind], 0.99).Round(time.Millisecond))
	}
	require.Less(t, quantile(took["external-push"], 0.50), 2*time.Second, "KEDA is told, it does not ask")
	require.Less(t, quantile(took["external-push"], 0.50), quantile(took["external"], 0.50))
}

// quantile is the least of sorted times that so many are not above.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(math.Ceil(q*float64(len(sorted))))-1]
}
