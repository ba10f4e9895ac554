// Package payload makes the OTLP requests of the benchmark: encoded once, by
// the encoder Collectors use, and given fresh times and values in place before
// each send, so that the sender's own work does not stand between two requests.
//
// It knows what a request of KServe's collectors looks like. It never sends.
package payload

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// scope is what the Collector's prometheus receiver signs its metrics with.
const scope = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver"

// Pod is one model server.
type Pod struct{ Namespace, Deployment, Name string }

// deploymentsPerNamespace spreads the fleet as teams do: a namespace alone
// selects far more than one workload.
const deploymentsPerNamespace = 20

// Fleet returns the pods of that many deployments.
func Fleet(deployments, podsEach int) []Pod {
	pods := make([]Pod, 0, deployments*podsEach)
	for d := range deployments {
		deployment := fmt.Sprintf("huggingface-model-%05d-predictor", d)
		namespace := fmt.Sprintf("team-%04d", d/deploymentsPerNamespace)
		for p := range podsEach {
			pods = append(pods, Pod{namespace, deployment, fmt.Sprintf("%s-7c9d5b8f6d-%05d", deployment, p)})
		}
	}
	return pods
}

// Resource says how much of a pod's identity its resource repeats.
type Resource bool

// The two resources that occur here.
const (
	Full Resource = true  // five attributes, as KServe's collector sends them
	Bare Resource = false // service.name and service.instance.id only: job and instance
)

// Requests encodes one gauge point of each metric for each pod, podsEach pods
// to a request.
func Requests(pods []Pod, metrics []string, podsEach int, resource Resource) ([]*Request, error) {
	requests := make([]*Request, 0, (len(pods)+podsEach-1)/podsEach)
	for len(pods) > 0 {
		n := min(podsEach, len(pods))
		r, err := encode(pods[:n], metrics, resource)
		if err != nil {
			return nil, err
		}
		requests, pods = append(requests, r), pods[n:]
	}
	return requests, nil
}

func encode(pods []Pod, metrics []string, resource Resource) (*Request, error) {
	md := pmetric.NewMetrics()
	for _, pod := range pods {
		rm := md.ResourceMetrics().AppendEmpty()
		describe(rm.Resource().Attributes(), pod, resource)
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.Scope().SetName(scope)
		for _, name := range metrics {
			m := sm.Metrics().AppendEmpty()
			m.SetName(name)
			point := m.SetEmptyGauge().DataPoints().AppendEmpty()
			// Zeroes are not encoded, and what is not there can't be patched.
			point.SetTimestamp(1)
			point.SetDoubleValue(1)
			attributes := point.Attributes()
			attributes.PutStr("namespace", pod.Namespace)
			attributes.PutStr("deployment", pod.Deployment)
			attributes.PutStr("pod", pod.Name)
			attributes.PutStr("model_name", "meta-llama/Llama-3.1-8B-Instruct")
		}
	}
	encoded, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	if err != nil {
		return nil, fmt.Errorf("encoding a request of %d pods: %w", len(pods), err)
	}
	return newRequest(encoded, len(pods)*len(metrics))
}

func describe(attributes pcommon.Map, pod Pod, resource Resource) {
	if resource == Full {
		attributes.PutStr("k8s.namespace.name", pod.Namespace)
		attributes.PutStr("k8s.deployment.name", pod.Deployment)
		attributes.PutStr("k8s.pod.name", pod.Name)
	}
	// Every sidecar scrapes its own pod at the same address.
	attributes.PutStr("service.name", "otel-collector")
	attributes.PutStr("service.instance.id", "localhost:8080")
}

// Running is the gauge KServe's examples scale on.
const Running = "vllm:num_requests_running"

// ModelServer is what a vLLM pod says about itself, cut to 20 series.
var ModelServer = []string{
	Running,
	"vllm:num_requests_waiting",
	"vllm:num_requests_swapped",
	"vllm:gpu_cache_usage_perc",
	"vllm:cpu_cache_usage_perc",
	"vllm:kv_cache_usage_perc",
	"vllm:num_preemptions",
	"vllm:prompt_tokens",
	"vllm:generation_tokens",
	"vllm:gpu_prefix_cache_hit_rate",
	"vllm:cpu_prefix_cache_hit_rate",
	"vllm:prefix_cache_queries",
	"vllm:prefix_cache_hits",
	"vllm:lora_requests_info",
	"vllm:cache_config_info",
	"vllm:request_success",
	"process_cpu_seconds",
	"process_resident_memory_bytes",
	"process_virtual_memory_bytes",
	"process_open_fds",
}
