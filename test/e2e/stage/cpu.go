package stage

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

// CPU stands in for metrics-server: it says that the pods of a namespace share
// the work that a play has set.
type CPU struct {
	objects dynamic.Interface

	mu    sync.Mutex     // guards what follows
	milli map[string]int // thousandths of a core, of each namespace's pods together
}

// Set says how much all pods of a namespace use together, in thousandths of a
// core.
func (c *CPU) Set(namespace string, milli int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.milli[namespace] = milli
}

// Of returns what Set set.
func (c *CPU) Of(namespace string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.milli[namespace]
}

// startCPU serves metrics.k8s.io and has the API server ask it.
func (s *Stage) startCPU(t testing.TB) *CPU {
	t.Helper()
	c := &CPU{objects: s.Objects, milli: map[string]int{}}
	certificate, err := s.ca.issue("metrics-server", nil, "metrics-server.kube-system.svc", "127.0.0.1")
	require.NoError(t, err)
	pair, err := certificate.tls()
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /apis/metrics.k8s.io/v1beta1", c.resources)
	mux.HandleFunc("GET /apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods", c.pods)
	server := &http.Server{
		Addr: "127.0.0.1:6445", Handler: mux, ReadHeaderTimeout: 5 * time.Second,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
	}
	var served sync.WaitGroup
	served.Go(func() {
		if err := server.ListenAndServeTLS("", ""); !errors.Is(err, http.ErrServerClosed) {
			log.Print("metrics.k8s.io: ", err)
		}
	})
	t.Cleanup(func() {
		_ = server.Close()
		served.Wait()
	})
	s.serveAPI(t, "metrics.k8s.io", "kube-system", "metrics-server", 6445)
	s.available(t, "metrics.k8s.io")
	return c
}

func (c *CPU) resources(w http.ResponseWriter, _ *http.Request) {
	answer(w, metav1.APIResourceList{
		TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: "metrics.k8s.io/v1beta1",
		APIResources: []metav1.APIResource{{Name: "pods", SingularName: "", Namespaced: true, Kind: "PodMetrics", Verbs: metav1.Verbs{"get", "list"}}},
	})
}

func (c *CPU) pods(w http.ResponseWriter, r *http.Request) {
	namespace := r.PathValue("namespace")
	list, err := c.running(r.Context(), namespace, r.URL.Query().Get("labelSelector"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	items := make([]any, 0, len(list))
	for i := range list {
		items = append(items, usage(&list[i], share(c.Of(namespace), len(list), i)))
	}
	answer(w, map[string]any{"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": map[string]any{}, "items": items})
}

func (c *CPU) running(ctx context.Context, namespace, selector string) (running []unstructured.Unstructured, err error) {
	list, err := c.objects.Resource(Pods).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		if p := &list.Items[i]; p.GetDeletionTimestamp() == nil && Condition(p, "Ready") == "True" {
			running = append(running, *p)
		}
	}
	return running, nil
}

// usage is a PodMetrics whose first container does all the work.
func usage(pod *unstructured.Unstructured, milli int) map[string]any {
	specs, _, _ := unstructured.NestedSlice(pod.Object, "spec", "containers")
	containers := make([]any, 0, len(specs))
	for _, spec := range specs {
		containers = append(containers, map[string]any{
			"name":  spec.(map[string]any)["name"],
			"usage": map[string]string{"cpu": quantity(milli), "memory": "100Mi"},
		})
		milli = 0
	}
	return map[string]any{
		"metadata": map[string]any{"name": pod.GetName(), "namespace": pod.GetNamespace(), "labels": pod.GetLabels()},
		// A window longer than the pod is old would have the HPA wait.
		"timestamp": time.Now().UTC().Format(time.RFC3339), "window": "1s", "containers": containers,
	}
}

func answer(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(object); err != nil && !strings.Contains(err.Error(), "broken pipe") {
		log.Print("metrics.k8s.io: ", err)
	}
}
