package stage

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// The kinds of objects that plays look at.
var (
	Pods          = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	Deployments   = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	Autoscalers   = schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}
	ScaledObjects = schema.GroupVersionResource{Group: "keda.sh", Version: "v1alpha1", Resource: "scaledobjects"}
	Collectors    = schema.GroupVersionResource{Group: "opentelemetry.io", Version: "v1beta1", Resource: "opentelemetrycollectors"}
)

// resync is never: what is missed while the API server is away comes with the
// list that follows.
const resync = 0 * time.Second

// informers keep what the API server last said of some kinds, and go on when it
// comes back from a restart.
type informers map[schema.GroupVersionResource]cache.SharedIndexInformer

func (s *Stage) startInformers(t testing.TB, kinds ...schema.GroupVersionResource) informers {
	t.Helper()
	factory := dynamicinformer.NewDynamicSharedInformerFactory(s.Objects, resync)
	all := informers{}
	for _, kind := range kinds {
		all[kind] = factory.ForResource(kind).Informer()
	}
	stop := make(chan struct{})
	factory.Start(stop)
	t.Cleanup(func() {
		close(stop)
		factory.Shutdown()
	})
	for kind, synced := range factory.WaitForCacheSync(t.Context().Done()) {
		require.True(t, synced, kind)
	}
	return all
}

// object returns an object as last seen; nil when there is none.
func (i informers) object(kind schema.GroupVersionResource, namespace, name string) *unstructured.Unstructured {
	o, exists, err := i[kind].GetIndexer().GetByKey(namespace + "/" + name)
	if err != nil || !exists {
		return nil
	}
	return o.(*unstructured.Unstructured)
}

// Get asks the API server for an object.
func (s *Stage) Get(ctx context.Context, kind schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	return s.Objects.Resource(kind).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
}

// Condition returns the status of one of an object's conditions, "" without it.
func Condition(o *unstructured.Unstructured, kind string) string {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		if fields, ok := c.(map[string]any); ok && fields["type"] == kind {
			status, _ := fields["status"].(string)
			return status
		}
	}
	return ""
}

// Number returns a whole number of an object, 0 without it.
func Number(o *unstructured.Unstructured, fields ...string) int {
	if o == nil {
		return 0
	}
	n, _, _ := unstructured.NestedInt64(o.Object, fields...)
	return int(n)
}

// Text returns a text of an object, "" without it.
func Text(o *unstructured.Unstructured, fields ...string) string {
	text, _, _ := unstructured.NestedString(o.Object, fields...)
	return text
}
