package otlpreceiver

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var everything = []string{
	"service.name", "predictor", "service.namespace", "shop", "service.instance.id", "i-1",
	"k8s.namespace.name", "ns", "k8s.deployment.name", "dep", "k8s.pod.name", "pod-1",
	"k8s.node.name", "node-1", "host.arch", "arm64",
}

func TestResourceAttributesModes(t *testing.T) {
	for name, c := range map[string]struct {
		list []string
		want string
	}{
		"none": {nil, `g{deployment="dep", instance="i-1", job="shop/predictor", namespace="ns", pod="pod-1"} 1@0`},
		"all": {[]string{"*"}, `g{deployment="dep", host_arch="arm64", instance="i-1", job="shop/predictor", k8s_deployment_name="dep", ` +
			`k8s_namespace_name="ns", k8s_node_name="node-1", k8s_pod_name="pod-1", namespace="ns", pod="pod-1"} 1@0`},
		"listed": {[]string{"k8s.node.name", "service.name", "absent"}, `g{deployment="dep", instance="i-1", job="shop/predictor", ` +
			`k8s_node_name="node-1", namespace="ns", pod="pod-1", service_name="predictor"} 1@0`},
		"all and listed": {[]string{"*", "service.instance.id"}, `g{deployment="dep", host_arch="arm64", instance="i-1", job="shop/predictor", ` +
			`k8s_deployment_name="dep", k8s_namespace_name="ns", k8s_node_name="node-1", k8s_pod_name="pod-1", namespace="ns", pod="pod-1", ` +
			`service_instance_id="i-1"} 1@0`},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, config{attributes: c.list})
			require.Nil(t, h.export(resource(kv(everything...), gaugeOf("g", double(0, 1)))))
			require.Equal(t, []string{c.want}, h.held(""))
		})
	}
}

func TestJobNeedsAServiceName(t *testing.T) {
	for _, c := range []struct {
		attrs []string
		want  string
	}{
		{[]string{"service.name", "a"}, `g{job="a"} 1@0`},
		{[]string{"service.name", "a", "service.namespace", ""}, `g{job="a"} 1@0`},
		{[]string{"service.namespace", "ns"}, `g{} 1@0`},
	} {
		h := serve(t, config{})
		require.Nil(t, h.export(resource(kv(c.attrs...), gaugeOf("g", double(0, 1)))))
		require.Equal(t, []string{c.want}, h.held(""))
	}
}

func TestLabelOfThePointWinsOverItsResource(t *testing.T) {
	h := serve(t, config{attributes: []string{"*"}})
	require.Nil(t, h.export(resource(kv(everything...), gaugeOf("g", double(0, 1,
		"job", "own", "instance", "own", "namespace", "own", "deployment", "", "k8s.node.name", "own", "host_arch", "own",
		"k8s.pod.name", "own")))))
	require.Equal(t, []string{`g{deployment="dep", host_arch="own", instance="own", job="own", k8s_deployment_name="dep", ` +
		`k8s_namespace_name="ns", k8s_node_name="own", k8s_pod_name="own", namespace="own", pod="pod-1"} 1@0`}, h.held(""))
}

// job and the workload's identity come from the attributes that mean them, not
// from whatever happens to have their label's name.
func TestMeantAttributesWinOverResourceAttributesOfTheLabelsName(t *testing.T) {
	h := serve(t, config{attributes: []string{"*"}})
	require.Nil(t, h.export(resource(kv("service.name", "a", "job", "x", "k8s.pod.name", "p", "pod", "x", "namespace", "kept"), gaugeOf("g", double(0, 1)))))
	require.Equal(t, []string{`g{job="a", k8s_pod_name="p", namespace="kept", pod="p"} 1@0`}, h.held(""))
}

func TestResourcesDoNotShareLabels(t *testing.T) {
	h := serve(t, config{})
	require.Nil(t, h.export(
		resource(kv("k8s.pod.name", "a"), gaugeOf("g", double(0, 1))),
		resource(nil, gaugeOf("g", double(0, 2))),
		resource(kv("k8s.pod.name", "b"), gaugeOf("g", double(0, 3))),
	))
	require.Equal(t, []string{`g{pod="a"} 1@0`, `g{pod="b"} 3@0`, `g{} 2@0`}, h.held(""))
}

// What KServe's sidecar would send if its transform processor were missing.
func TestKServeRequestWithoutTheTransformAnswersForItsWorkload(t *testing.T) {
	h := serve(t, config{})
	require.Nil(t, h.export(kserve(0, false)))
	require.Equal(t, []string{
		`vllm:num_requests_running{deployment="fbopt-predictor", instance="localhost:8080", job="otel-collector", model_name="fbopt", namespace="models", pod="fbopt-predictor-0"} 3@0`,
	}, h.held("vllm:num_requests_running"))
	// And with it nothing changes.
	with := serve(t, config{})
	require.Nil(t, with.export(kserve(0, true)))
	require.Equal(t, h.held(""), with.held(""))
}

func TestPodWithoutADeploymentHasNone(t *testing.T) {
	h := serve(t, config{})
	require.Nil(t, h.export(resource(kv("k8s.namespace.name", "ns", "k8s.pod.name", "p"), gaugeOf("g", double(0, 1)))))
	require.Equal(t, []string{`g{namespace="ns", pod="p"} 1@0`}, h.held(""))
}
