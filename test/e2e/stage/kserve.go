package stage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/binary"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
)

const kserveWebhook = "https://127.0.0.1:9443"

// ScrapeInterval is what the Collectors that KServe configures begin with: one
// second, to save time. KServe's default is five.
const ScrapeInterval = "1s"

// ScaleDownWindow is how long the HPA looks back before it takes replicas away;
// KServe's default is 300 seconds.
const ScaleDownWindow = "15"

// startKServe installs KServe's own manifests, but for the Deployment, and runs
// its controller, which creates what the user's page promises.
func (s *Stage) startKServe(t testing.TB) {
	t.Helper()
	module, err := binary.ModuleDir(t.Context(), "kserve", "github.com/kserve/kserve")
	require.NoError(t, err)
	config := func(path string) string { return filepath.Join(module, "config", path) }
	s.installText(t, namespaced("kserve"))
	for _, kind := range []string{
		"clusterstoragecontainer/serving.kserve.io_clusterstoragecontainers", "serving.kserve.io_inferenceservices", "serving.kserve.io_trainedmodels",
		"serving.kserve.io_clusterservingruntimes", "serving.kserve.io_servingruntimes", "serving.kserve.io_inferencegraphs",
	} {
		s.install(t, config("crd/full/"+kind+".yaml"))
	}
	s.installObjects(t, only(collectorDefinition, read(t, filepath.Join(module, "test", "crds", "opentelemetry-operator.yaml"))))
	for _, file := range []string{"service_account", "role", "role_binding", "leader_election_role", "leader_election_role_binding"} {
		s.installObjects(t, inNamespace("kserve", read(t, config("rbac/"+file+".yaml"))))
	}
	s.installObjects(t, settings(t, read(t, config("configmap/inferenceservice.yaml"))))
	s.established(t)

	webhook, err := s.ca.issue("kserve-webhook", nil, "127.0.0.1")
	require.NoError(t, err)
	// Where controller-runtime looks for it; there is no flag.
	certificates := filepath.Join(s.dir, "kserve", "k8s-webhook-server", "serving-certs")
	require.NoError(t, os.MkdirAll(filepath.Dir(certificates), 0o700))
	require.NoError(t, os.Symlink(webhook.dir, certificates))
	s.KServe = s.launch(t, process.Spec{
		Name: "kserve-controller", Path: s.programs.KServe,
		Env:  []string{"POD_NAMESPACE=kserve", "TMPDIR=" + filepath.Join(s.dir, "kserve"), "KUBECONFIG=" + s.account(t, "kserve", "kserve-controller-manager")},
		Args: []string{"--metrics-addr=127.0.0.1:19080", "--health-probe-addr=127.0.0.1:19081", "--webhook-port=9443"},
	}, listens("127.0.0.1:9443"))
	s.KServe.Wait(t)
	s.installObjects(t, webhooks(kserveWebhook, s.ca.bundle(), read(t, config("webhook/manifests.yaml"))))
	for _, folder := range []string{"storagecontainers", "runtimes"} {
		s.installText(t, s.Kubectl(t, "kustomize", config(folder)))
	}
}

const collectorDefinition = "opentelemetrycollectors.opentelemetry.io"

// only keeps the definition named, without the conversion that only the
// OpenTelemetry operator could do.
func only(name string, objects []*unstructured.Unstructured) (kept []*unstructured.Unstructured) {
	for _, o := range objects {
		if o.GetName() == name && o.GetKind() == "CustomResourceDefinition" {
			set(o, map[string]any{"strategy": "None"}, "spec", "conversion")
			kept = append(kept, o)
		}
	}
	return kept
}

// inNamespace does what the kustomization that these files belong to does.
func inNamespace(namespace string, objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	for _, o := range objects {
		if o.GetKind() != "ClusterRole" && o.GetKind() != "ClusterRoleBinding" {
			o.SetNamespace(namespace)
		}
		subjects, _, _ := unstructured.NestedSlice(o.Object, "subjects")
		for _, subject := range subjects {
			subject.(map[string]any)["namespace"] = namespace
		}
		if subjects != nil {
			set(o, subjects, "subjects")
		}
	}
	return objects
}

// settings are KServe's own but for what needs Knative or Istio, and for two
// times that nobody wants to wait for.
func settings(t testing.TB, objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	t.Helper()
	for _, o := range objects {
		o.SetNamespace("kserve")
		data, _, err := unstructured.NestedStringMap(o.Object, "data")
		require.NoError(t, err)
		delete(data, "_example")
		for key, change := range map[string]map[string]any{
			"deploy":                 {"defaultDeploymentMode": "Standard"},
			"ingress":                {"disableIngressCreation": true, "disableIstioVirtualHost": true},
			"autoscaler":             {"scaleDownStabilizationWindowSeconds": ScaleDownWindow},
			"opentelemetryCollector": {"scrapeInterval": ScrapeInterval},
		} {
			data[key] = merged(t, data[key], change)
		}
		require.NoError(t, unstructured.SetNestedStringMap(o.Object, data, "data"))
	}
	return objects
}

// Scrape has KServe configure the Collectors of later InferenceServices to
// scrape so often, as an administrator would.
func (s *Stage) Scrape(t testing.TB, interval string) {
	t.Helper()
	const key = "opentelemetryCollector"
	section := s.Kubectl(t, "get", "configmap", "inferenceservice-config", "--namespace=kserve", "--output=jsonpath={.data."+key+"}")
	section = merged(t, section, map[string]any{"scrapeInterval": interval})
	patch, err := json.Marshal(map[string]any{"data": map[string]string{key: section}})
	require.NoError(t, err)
	s.Kubectl(t, "patch", "configmap", "inferenceservice-config", "--namespace=kserve", "--patch="+string(patch))
}

// merged changes a JSON object.
func merged(t testing.TB, object string, change map[string]any) string {
	t.Helper()
	fields := map[string]any{}
	require.NoError(t, json.Unmarshal([]byte(object), &fields), object)
	maps.Copy(fields, change)
	text, err := json.Marshal(fields)
	require.NoError(t, err)
	return string(text)
}

// webhooks are to be asked at an address of the loopback instead of at a Service.
func webhooks(server, bundle string, objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	for _, o := range objects {
		hooks, _, _ := unstructured.NestedSlice(o.Object, "webhooks")
		for _, hook := range hooks {
			fields := hook.(map[string]any)
			path, _, _ := unstructured.NestedString(fields, "clientConfig", "service", "path")
			fields["clientConfig"] = map[string]any{"url": server + path, "caBundle": bundle}
		}
		set(o, hooks, "webhooks")
	}
	return objects
}

// read returns the objects of a file of manifests.
func read(t testing.TB, file string) []*unstructured.Unstructured {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return objects(bytes.NewReader(content))
}

func objects(manifests io.Reader) (objects []*unstructured.Unstructured) {
	decoder := yaml.NewYAMLOrJSONDecoder(manifests, 4096)
	for {
		o := &unstructured.Unstructured{}
		if err := decoder.Decode(&o.Object); err != nil {
			return objects // io.EOF; anything else shows in what is missing
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}

func (s *Stage) installObjects(t testing.TB, objects []*unstructured.Unstructured) {
	t.Helper()
	require.NotEmpty(t, objects)
	var text bytes.Buffer
	for _, o := range objects {
		content, err := o.MarshalJSON()
		require.NoError(t, err)
		fmt.Fprintf(&text, "%s\n---\n", content)
	}
	s.installText(t, text.String())
}

// set changes a field whose parents are there.
func set(o *unstructured.Unstructured, value any, fields ...string) {
	if err := unstructured.SetNestedField(o.Object, value, fields...); err != nil {
		panic(err) // the manifest is not what its kind says
	}
}
