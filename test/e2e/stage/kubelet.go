package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/cache"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/modelserver"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/sandbox"
)

const (
	serviceLabel     = "serving.kserve.io/inferenceservice"
	injectAnnotation = "sidecar.opentelemetry.io/inject"
	portAnnotation   = "prometheus.io/port"
	metricsPort      = "8080"
)

// Kubelet runs what a kubelet, and the OpenTelemetry operator, would run in the
// pods of InferenceServices that kwok says are ready: a stand-in model server
// at the pod's own address, and, where a Collector is to be injected, a real
// one with the configuration of the OpenTelemetryCollector that KServe made.
type Kubelet struct {
	t     testing.TB
	stage *Stage
	queue chan *unstructured.Unstructured // of pods as last seen; closed never

	mu    sync.Mutex      // guards what follows
	pods  map[string]*Pod // by namespace/name
	loads map[string]int  // requests in flight, of each namespace's pods together
}

// Pod is one that runs.
type Pod struct {
	Namespace, Name string
	Collector       *process.Process // nil where none is to be injected

	servers []*modelserver.Server // at the same metrics' ports: one, or two where KServe says another than it serves
	spec    process.Spec          // of the Collector
}

func (s *Stage) startKubelet(t testing.TB) *Kubelet {
	t.Helper()
	k := &Kubelet{
		t: t, stage: s, queue: make(chan *unstructured.Unstructured, 10_000),
		pods: map[string]*Pod{}, loads: map[string]int{},
	}
	s.informers = s.startInformers(t, Pods, Deployments, Autoscalers)
	_, err := s.informers[Pods].AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { k.queue <- o.(*unstructured.Unstructured) },
		UpdateFunc: func(_, o any) { k.queue <- o.(*unstructured.Unstructured) },
		DeleteFunc: func(o any) {
			if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = unknown.Obj
			}
			pod := o.(*unstructured.Unstructured).DeepCopy()
			now := metav1.Now()
			pod.SetDeletionTimestamp(&now)
			k.queue <- pod
		},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var joined sync.WaitGroup
	joined.Go(func() { k.run(ctx) })
	t.Cleanup(func() {
		cancel()
		joined.Wait()
	})
	return k
}

func (k *Kubelet) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case pod := <-k.queue:
			if pod.GetLabels()[serviceLabel] != "" {
				k.sync(ctx, pod)
			}
		}
	}
}

// sync makes a pod run, or end.
func (k *Kubelet) sync(ctx context.Context, object *unstructured.Unstructured) {
	key := object.GetNamespace() + "/" + object.GetName()
	k.mu.Lock()
	running := k.pods[key]
	k.mu.Unlock()
	switch ready := Condition(object, "Ready") == "True"; {
	case object.GetDeletionTimestamp() != nil && running != nil:
		k.mu.Lock()
		delete(k.pods, key)
		k.mu.Unlock()
		// As a kubelet does: everybody is told at the same time, so that a
		// Collector ends without having seen that its target did.
		if running.Collector != nil {
			running.Collector.Signal(k.t)
		}
		for _, server := range running.servers {
			server.Stop(k.t)
		}
	case object.GetDeletionTimestamp() == nil && ready && running == nil:
		pod, err := k.start(ctx, object)
		if err != nil {
			k.t.Errorf("pod %s: %v", key, err)
			return
		}
		k.mu.Lock()
		k.pods[key] = pod
		k.mu.Unlock()
	default:
		return
	}
	k.spread(object.GetNamespace())
}

func (k *Kubelet) start(ctx context.Context, object *unstructured.Unstructured) (*Pod, error) {
	pod := &Pod{Namespace: object.GetNamespace(), Name: object.GetName()}
	address := Text(object, "status", "podIP")
	ports := []string{metricsPort}
	if port := object.GetAnnotations()[portAnnotation]; port != "" && port != metricsPort {
		ports = append(ports, port)
	}
	for _, port := range ports {
		pod.servers = append(pod.servers, modelserver.Start(k.t, net.JoinHostPort(address, port), "fbopt"))
	}
	if name := object.GetAnnotations()[injectAnnotation]; name != "" {
		config, err := k.stage.Get(ctx, Collectors, pod.Namespace, name)
		if err != nil {
			return nil, err
		}
		pod.spec = k.collector(config, object, address)
		pod.Collector = process.Start(k.t, pod.spec)
	}
	return pod, nil
}

// collector is the sidecar of a pod. Its localhost is the pod's address, as it
// is in a pod.
func (k *Kubelet) collector(config, pod *unstructured.Unstructured, address string) process.Spec {
	spec, _, _ := unstructured.NestedMap(config.Object, "spec", "config")
	text, err := json.Marshal(spec)
	require.NoError(k.t, err)
	name := pod.GetNamespace() + "-" + pod.GetName()
	own := k.stage.file(k.t, name+".hosts", strings.Replace(hosts, "127.0.0.1 localhost", address+" localhost", 1))
	return sandbox.WithHosts(process.Spec{
		Name: "collector-" + name,
		Path: k.stage.programs.Collector,
		Args: []string{"--config=file:" + k.stage.file(k.t, name+".json", string(text))},
		Env: []string{fmt.Sprintf("OTEL_RESOURCE_ATTRIBUTES=k8s.namespace.name=%s,k8s.deployment.name=%s,k8s.pod.name=%s",
			pod.GetNamespace(), deployment(pod), pod.GetName())},
		Logs: k.stage.logs,
	}, own)
}

// deployment is the name of the one that owns the pod's ReplicaSet.
func deployment(pod *unstructured.Unstructured) string {
	for _, owner := range pod.GetOwnerReferences() {
		if owner.Kind == "ReplicaSet" {
			return owner.Name[:strings.LastIndex(owner.Name, "-")]
		}
	}
	return ""
}

// SetLoad has a namespace's pods answer requests, so many at a time all
// together, and returns the moment from which they do.
func (k *Kubelet) SetLoad(namespace string, inFlight int) time.Time {
	k.mu.Lock()
	k.loads[namespace] = inFlight
	k.mu.Unlock()
	k.spread(namespace)
	return time.Now()
}

// Load returns what SetLoad set.
func (k *Kubelet) Load(namespace string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.loads[namespace]
}

// Running returns a namespace's pods, by name.
func (k *Kubelet) Running(namespace string) []*Pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	var pods []*Pod
	for _, p := range k.pods {
		if p.Namespace == namespace {
			pods = append(pods, p)
		}
	}
	slices.SortFunc(pods, func(a, b *Pod) int { return strings.Compare(a.Name, b.Name) })
	return pods
}

// spread puts the load onto the pods there are, as a balancer does.
func (k *Kubelet) spread(namespace string) {
	pods, total := k.Running(namespace), k.Load(namespace)
	for i, p := range pods {
		for _, server := range p.servers {
			server.Set(modelserver.Load{Running: float64(share(total, len(pods), i))})
		}
	}
}

// Update changes what each of a namespace's pods does.
func (k *Kubelet) Update(namespace string, change func(*modelserver.Load, *modelserver.Totals)) {
	for _, p := range k.Running(namespace) {
		for _, server := range p.servers {
			server.Update(change)
		}
	}
}

// CPUSeconds is what a namespace's pods have used in all.
func (k *Kubelet) CPUSeconds(namespace string) (sum float64) {
	for _, p := range k.Running(namespace) {
		p.servers[0].Update(func(_ *modelserver.Load, totals *modelserver.Totals) { sum += totals.CPUSeconds })
	}
	return sum
}

// Hang has the model servers of a namespace answer no scrape, or answer again.
func (k *Kubelet) Hang(namespace string, hang bool) {
	for _, p := range k.Running(namespace) {
		for _, server := range p.servers {
			server.Hang(hang)
		}
	}
}

// KillCollector ends a pod's Collector as the kernel does.
func (k *Kubelet) KillCollector(p *Pod) { p.Collector.Kill(k.t) }

// StartCollector runs a pod's Collector, which has ended, once more.
func (k *Kubelet) StartCollector(p *Pod) {
	p.spec.Name += "-again"
	p.Collector = process.Start(k.t, p.spec)
}

// share is the i-th of n parts of total, in whole numbers.
func share(total, n, i int) int {
	if part := total / n; i >= total%n {
		return part
	}
	return total/n + 1
}

func quantity(milli int) string { return strconv.Itoa(milli) + "m" }
