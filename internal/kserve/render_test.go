package kserve

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/manifest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// pageExamples are the InferenceServices of the user's page, word for word.
func pageExamples(t *testing.T) (all []string) {
	t.Helper()
	page, err := os.ReadFile("../../test/e2e/testdata/kserve-keda-autoscaling.md")
	require.NoError(t, err)
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1) {
		if strings.Contains(string(block[1]), "InferenceService") {
			all = append(all, string(block[1]))
		}
	}
	require.Len(t, all, 3)
	return all
}

func object(t *testing.T, text string) manifest.Object {
	t.Helper()
	_, objects, bad, err := manifest.Read("isvc.yaml", strings.NewReader(text))
	require.NoError(t, err)
	require.Empty(t, bad)
	require.Len(t, objects, 1)
	require.True(t, Is(objects[0]))
	return objects[0]
}

// TestThePagesExamples compares with what was found equal to what KServe makes,
// by test/kserve; -update writes it.
func TestThePagesExamples(t *testing.T) {
	for i, text := range pageExamples(t) {
		file := fmt.Sprintf("testdata/page-%d.yaml", i+1)
		t.Run(file, func(t *testing.T) {
			var b bytes.Buffer
			e := yaml.NewEncoder(&b)
			e.SetIndent(2)
			for _, p := range Render(object(t, text), Defaults()) {
				require.NoError(t, e.Encode(p.ScaledObject))
				if p.Collector != nil {
					require.NoError(t, e.Encode(p.Collector))
				}
			}
			require.NoError(t, e.Close())
			if *update {
				require.NoError(t, os.WriteFile(file, b.Bytes(), 0o600))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), b.String())
		})
	}
}

// TestTheSidecarIsWhatTheEndToEndTestsRun compares with the Collector's
// configuration that test/e2e runs in a real Collector, but for what it says it
// deviates in.
func TestTheSidecarIsWhatTheEndToEndTestsRun(t *testing.T) {
	text, err := os.ReadFile("../../test/e2e/sidecar/testdata/kserve.yaml")
	require.NoError(t, err)
	var want map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(strings.NewReplacer(
		"${env:SCRAPE_TARGET}", "localhost:8080", "${env:SCALER_ENDPOINT}", "keda-otel-scaler.keda.svc:4317",
		"${env:SCRAPE_INTERVAL}", "5s", "${env:METRIC_NAMES}", "[vllm:num_requests_running]",
	).Replace(string(text))), &want))
	delete(want["service"].(map[string]any), "telemetry")
	body, err := yaml.Marshal(Render(object(t, pageExamples(t)[2]), Defaults())[0].Collector.Spec.Config)
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, yaml.Unmarshal(body, &got))
	require.Equal(t, want, got)
}

const service = `
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: a
  annotations: {ANNOTATIONS}
spec:
  predictor:
    COMPONENT
`

func render(t *testing.T, annotations, component string, c Config) Component {
	t.Helper()
	text := strings.NewReplacer("ANNOTATIONS", annotations, "COMPONENT", component).Replace(service)
	all := Render(object(t, text), c)
	require.Len(t, all, 1)
	return all[0]
}

const (
	keda   = `"serving.kserve.io/autoscalerClass": keda, "serving.kserve.io/deploymentMode": Standard`
	metric = `autoScaling: {metrics: [{type: PodMetric, podmetric: {metric: {backend: opentelemetry, metricNames: [x], query: x}, target: {type: Value, value: 4}}}]}`
)

func TestWhyThereIsNoScaledObject(t *testing.T) {
	for _, tc := range []struct{ name, annotations, why string }{
		{"mode by default", `"serving.kserve.io/autoscalerClass": keda`, `mode "Knative"; write the annotation serving.kserve.io/deploymentMode: "Standard"`},
		{"mode", `"serving.kserve.io/autoscalerClass": keda, "serving.kserve.io/deploymentMode": ModelMesh`, `mode "ModelMesh"`},
		{"class by default", `"serving.kserve.io/deploymentMode": RawDeployment`, `class is ""`},
		{"class", `"serving.kserve.io/deploymentMode": Standard, "serving.kserve.io/autoscalerClass": hpa`, `class is "hpa"`},
		{"stopped", keda + `, "serving.kserve.io/stop": "TRUE"`, "stopped by the annotation"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := render(t, tc.annotations, metric, Defaults())
			require.Nil(t, p.ScaledObject)
			require.Contains(t, p.Why, tc.why)
		})
	}
	t.Run("the status knows the mode best", func(t *testing.T) {
		o := object(t, strings.NewReplacer("ANNOTATIONS", `"serving.kserve.io/autoscalerClass": keda`, "COMPONENT", metric).Replace(service)+"status: {deploymentMode: Standard}\n")
		require.NotNil(t, Render(o, Defaults())[0].ScaledObject)
	})
}

func TestWhereAFieldComesFrom(t *testing.T) {
	trigger := render(t, keda, metric, Defaults()).ScaledObject.Spec.Triggers[0]
	const at = "spec.predictor.autoScaling.metrics[0]"
	require.Equal(t, at, trigger.At.Path())
	require.Equal(t, at+".podmetric.metric.query", trigger.From["metricQuery"].Path())
	require.Equal(t, at+".podmetric.target.value", trigger.From["targetValue"].Path())
	require.Equal(t, `sum(x{namespace="default", deployment="a-predictor"})`, trigger.Metadata["metricQuery"])
}

func TestReadConfig(t *testing.T) {
	const head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: inferenceservice-config}\ndata:\n"
	c, err := ReadConfig("c.yaml", strings.NewReader("kind: Secret\n---\n"+head+`
  opentelemetryCollector: '{"scrapeInterval": "1s", "metricReceiverEndpoint": "r:1", "metricScalerEndpoint": "s:2", "resource": {"cpuLimit": "2"}}'
  autoscaler: '{"scaleDownStabilizationWindowSeconds": "15"}'
  deploy: '{"defaultDeploymentMode": "RawDeployment"}'
  inferenceService: '{"serviceAnnotationDisallowedList": ["secret"]}'
`))
	require.NoError(t, err)
	p := render(t, `"serving.kserve.io/autoscalerClass": keda, secret: x`, metric, c)
	require.NotContains(t, p.Meta.Annotations, "secret")
	require.Equal(t, Standard, p.Meta.Annotations[ModeAnnotation])
	require.Equal(t, "s:2", p.ScaledObject.Spec.Triggers[0].Metadata["scalerAddress"])
	require.Equal(t, &Window{15}, p.ScaledObject.Spec.Advanced.HPA.Behavior.ScaleDown)
	require.Nil(t, p.ScaledObject.Spec.Advanced.HPA.Behavior.ScaleUp)
	require.Equal(t, map[string]map[string]string{"limits": {"cpu": "2"}}, p.Collector.Spec.Resources)

	for _, tc := range []struct{ name, text, want string }{
		{"another object", "kind: ConfigMap\nmetadata: {name: x}\n", "none named inferenceservice-config; write it with kubectl get configmap"},
		{"no YAML", "a: b: c\n", "c.yaml:1:1: not YAML"},
		{"no JSON", head + "  autoscaler: '{'\n", "c.yaml:5:15: autoscaler is not the JSON that KServe wants"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ReadConfig("c.yaml", strings.NewReader(tc.text))
			require.ErrorIs(t, err, ErrConfig)
			require.ErrorContains(t, err, tc.want)
		})
	}
}
