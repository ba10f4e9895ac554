//go:build linux

package plays

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/modelserver"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/stage"
)

// sklearn is the InferenceService of KServe's end-to-end test for this path.
const sklearn = `
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: isvc-sklearn-keda-otel-add-on
  annotations:
    serving.kserve.io/deploymentMode: Standard
    serving.kserve.io/autoscalerClass: keda
    sidecar.opentelemetry.io/inject: isvc-sklearn-keda-otel-add-on-predictor
spec:
  predictor:
    minReplicas: 1
    maxReplicas: 3
    autoScaling:
      metrics:
        - type: PodMetric
          podmetric:
            metric:
              backend: opentelemetry
              metricNames: [process_cpu_seconds_total]
              query: process_cpu_seconds_total
            target: {type: Value, value: "8"}
    sklearn:
      storageUri: gs://kfserving-examples/models/sklearn/1.0/model
      resources:
        requests: {cpu: 25m, memory: 128Mi}
`

// playKServesOwn scales on the raw value of a counter, as that test does: the
// load takes CPU until there are two pods.
func playKServesOwn(t *testing.T, s *stage.Stage) {
	const ns, name = "play-4", "isvc-sklearn-keda-otel-add-on-predictor"
	s.Namespace(t, ns)
	s.Apply(t, ns, sklearn)
	r := s.Record(t, "play 4: KServe's own expectation", cpuSeconds(s, ns, name))
	s.ScaledObject(t, ns, name, map[string]string{"Ready": "True"})
	s.Pods(t, ns, 1)

	since := r.Mark("two cores' work")
	s.Kubelet.Update(ns, func(l *modelserver.Load, _ *modelserver.Totals) { l.CPU = 2 })
	took := r.AtLeast(t, 2, since, stage.Follows)
	t.Logf("at least 2 replicas after %s", took)
	require.Positive(t, took)
	s.ScaledObject(t, ns, name, map[string]string{"Ready": "True", "Active": "True"})
}
