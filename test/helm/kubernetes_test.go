package helm

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/validation"
	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// decoder knows Kubernetes' own kinds, and refuses fields that they don't have
// and fields given twice.
func decoder(t *testing.T) (runtime.Decoder, *runtime.Scheme) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		admissionv1.AddToScheme, appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme,
	} {
		require.NoError(t, add(scheme))
	}
	return json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true}), scheme
}

// checkObject holds YAML to the types of Kubernetes, or to the schemas of those
// who define the kind.
func checkObject(t *testing.T, object string) {
	t.Helper()
	require.NoError(t, objectFault(t, object), object)
}

func objectFault(t *testing.T, object string) error {
	t.Helper()
	var meta struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal([]byte(object), &meta); err != nil {
		return err
	}
	decoder, _ := decoder(t)
	_, _, err := decoder.Decode([]byte(object), nil, nil)
	if runtime.IsNotRegisteredError(err) {
		err = customResource(t, meta.APIVersion, meta.Kind, object)
	}
	return err
}

func TestObjectsAreValid(t *testing.T) {
	for name, values := range values(t) {
		t.Run(name, func(t *testing.T) {
			for _, object := range render(t, values).Objects {
				checkObject(t, object)
			}
		})
	}
}

// TestCheckObject knows that the test above can fail.
func TestCheckObject(t *testing.T) {
	decoder, _ := decoder(t)
	_, _, err := decoder.Decode([]byte("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {port: 1}}"), nil, nil)
	require.ErrorContains(t, err, `unknown field "spec.port"`)

	const monitor = "{apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: {name: a}, spec: {endpoints: [], selector: {}, "
	require.NoError(t, customResource(t, "monitoring.coreos.com/v1", "ServiceMonitor", monitor+"}}"))
	require.ErrorContains(t, customResource(t, "monitoring.coreos.com/v1", "ServiceMonitor", monitor+"endpoint: []}}"), "unknown field spec.endpoint")
	require.ErrorContains(t, customResource(t, "monitoring.coreos.com/v1", "ServiceMonitor", monitor+"sampleLimit: many}}"), "spec.sampleLimit")
}

// deployment is the one that values render.
func deployment(t *testing.T, values string) *appsv1.Deployment {
	t.Helper()
	decoder, _ := decoder(t)
	for _, object := range render(t, values).Objects {
		if decoded, _, err := decoder.Decode([]byte(object), nil, nil); err == nil {
			if d, ok := decoded.(*appsv1.Deployment); ok {
				return d
			}
		}
	}
	require.Fail(t, "there is no Deployment")
	return nil
}

func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	require.NoError(t, err)
	faults := func(values string) (all []string) {
		pod := deployment(t, values).Spec.Template
		level := psa.LevelVersion{Level: psa.LevelRestricted, Version: psa.LatestVersion()}
		for _, result := range evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec) {
			if !result.Allowed {
				all = append(all, result.ForbiddenReason)
			}
		}
		return all
	}
	for name, values := range values(t) {
		require.Empty(t, faults(values), name)
	}
	require.NotEmpty(t, faults("securityContext: {allowPrivilegeEscalation: true}"), "a pod that may gain privileges is not restricted")
}

func TestPodIsAsClosedAsItCanBe(t *testing.T) {
	pod := deployment(t, "").Spec.Template.Spec
	container := pod.Containers[0]
	require.False(t, *pod.AutomountServiceAccountToken)
	require.True(t, *container.SecurityContext.ReadOnlyRootFilesystem)
	require.Len(t, pod.Volumes, 1)
	snapshot := pod.Volumes[0].EmptyDir
	require.NotNil(t, snapshot)
	most, err := strconv.ParseInt(settings(t, container.Args)["snapshot-max-bytes"], 10, 64)
	require.NoError(t, err)
	require.Greater(t, snapshot.SizeLimit.Value(), 2*most, "or the pod is evicted while the next one is written")
	require.Empty(t, deployment(t, "settings: {snapshot: {enabled: false}}").Spec.Template.Spec.Volumes)
}

// TestPortsMeet has the Service's ports end at the container's, and the names be
// such that Kubernetes takes them, which types can't say.
func TestPortsMeet(t *testing.T) {
	decoder, _ := decoder(t)
	for name, values := range values(t) {
		ports := map[string]int32{}
		for _, p := range deployment(t, values).Spec.Template.Spec.Containers[0].Ports {
			require.Empty(t, validation.IsValidPortName(p.Name))
			ports[p.Name] = p.ContainerPort
		}
		services := 0
		for _, object := range render(t, values).Objects {
			decoded, _, _ := decoder.Decode([]byte(object), nil, nil) // checked elsewhere
			service, ok := decoded.(*corev1.Service)
			if !ok {
				continue
			}
			services++
			require.Len(t, service.Spec.Ports, len(ports))
			for _, p := range service.Spec.Ports {
				require.Equal(t, p.Port, ports[p.TargetPort.StrVal], "%s: %s", name, p.Name)
			}
		}
		require.Equal(t, 1, services)
	}
}
