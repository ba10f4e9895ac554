package kserve

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/kserve/kserve/pkg/apis/serving/v1alpha1"
	"github.com/kserve/kserve/pkg/apis/serving/v1beta1"
	"github.com/kserve/kserve/pkg/constants"
	"github.com/kserve/kserve/pkg/controller/v1beta1/inferenceservice/components"
	otelv1beta1 "github.com/open-telemetry/opentelemetry-operator/apis/v1beta1"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientset "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"
)

func init() {
	for _, add := range []func(*runtime.Scheme) error{
		kedav1alpha1.AddToScheme, otelv1beta1.AddToScheme, v1alpha1.AddToScheme, v1beta1.AddToScheme,
	} {
		utilruntime.Must(add(scheme.Scheme))
	}
}

// moduleRoot is where KServe's source is.
func moduleRoot(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/kserve/kserve").Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// shippedConfig is the ConfigMap that KServe is installed with.
func shippedConfig(t *testing.T) *corev1.ConfigMap {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot(t), "config/configmap/inferenceservice.yaml"))
	require.NoError(t, err)
	var config corev1.ConfigMap
	require.NoError(t, yaml.Unmarshal(text, &config))
	config.Namespace = constants.KServeNamespace
	return &config
}

// runtimes are those that KServe is installed with.
func runtimes(t *testing.T) (all []client.Object) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(moduleRoot(t), "config/runtimes/kserve-*.yaml"))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var r v1alpha1.ClusterServingRuntime
		require.NoError(t, yaml.Unmarshal(text, &r))
		if r.Kind == "ClusterServingRuntime" {
			all = append(all, &r)
		}
	}
	require.NotEmpty(t, all)
	return all
}

// isvc is an InferenceService as KServe has it after its webhooks. refused is
// what its validating webhook says.
func isvc(t *testing.T, text string, config *corev1.ConfigMap) (made *v1beta1.InferenceService, refused error) {
	t.Helper()
	made = &v1beta1.InferenceService{}
	if err := yaml.Unmarshal([]byte(text), made); err != nil {
		return nil, err
	}
	if made.Namespace == "" {
		made.Namespace = "default"
	}
	services, err := v1beta1.NewInferenceServicesConfig(config)
	require.NoError(t, err)
	deploy, err := v1beta1.NewDeployConfig(config)
	require.NoError(t, err)
	made.DefaultInferenceService(services, deploy, nil, &v1alpha1.LocalModelCacheList{})
	_, refused = (&v1beta1.InferenceServiceValidator{}).ValidateCreate(t.Context(), made)
	return made, refused
}

// controller runs KServe's component reconcilers, and returns the ScaledObjects
// and Collectors that are there then, by kind and name.
func controller(t *testing.T, text string, config *corev1.ConfigMap) map[string]any {
	t.Helper()
	service, refused := isvc(t, text, config)
	require.NoError(t, refused)
	require.Equal(t, "Standard", service.Annotations[constants.DeploymentMode])
	c := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(runtimes(t)...).Build()
	set := clientset.NewSimpleClientset(config)
	services, err := v1beta1.NewInferenceServicesConfig(config)
	require.NoError(t, err)
	parts := []components.Component{components.NewPredictor(c, set, scheme.Scheme, services, constants.Standard)}
	if service.Spec.Transformer != nil {
		parts = append(parts, components.NewTransformer(c, set, scheme.Scheme, services, constants.Standard))
	}
	for _, part := range parts {
		_, err := part.Reconcile(t.Context(), service)
		require.NoError(t, err)
	}
	all := make(map[string]any)
	for _, list := range []client.ObjectList{&kedav1alpha1.ScaledObjectList{}, &otelv1beta1.OpenTelemetryCollectorList{}} {
		collect(t, c, list, all)
	}
	return all
}

func collect(t *testing.T, c client.Client, list client.ObjectList, to map[string]any) {
	t.Helper()
	require.NoError(t, c.List(context.WithoutCancel(t.Context()), list))
	body, err := json.Marshal(list)
	require.NoError(t, err)
	var decoded struct{ Items []map[string]any }
	require.NoError(t, json.Unmarshal(body, &decoded))
	for _, item := range decoded.Items {
		gvk, err := c.GroupVersionKindFor(list)
		require.NoError(t, err)
		item["kind"] = strings.TrimSuffix(gvk.Kind, "List")
		item["apiVersion"] = gvk.GroupVersion().String()
		put(to, item)
	}
}

// put keys an object, without what a server adds or what is empty.
func put(to map[string]any, object map[string]any) {
	metadata, _ := object["metadata"].(map[string]any)
	for _, key := range []string{"resourceVersion", "ownerReferences", "creationTimestamp"} {
		delete(metadata, key)
	}
	delete(object, "status")
	to[object["kind"].(string)+"/"+metadata["name"].(string)] = pruned(object)
}

// pruned is a value without empty fields.
func pruned(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			inner = pruned(inner)
			if m, ok := inner.(map[string]any); inner == nil || inner == "" || ok && len(m) == 0 {
				delete(v, key)
				continue
			}
			v[key] = inner
		}
	case []any:
		for i := range v {
			v[i] = pruned(v[i])
		}
	}
	return v
}
