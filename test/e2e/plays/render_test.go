//go:build linux

package plays

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/stage"
)

// rendered compares what the product's render makes of one of the page's
// InferenceServices with what KServe's controller has made of it.
func rendered(t *testing.T, s *stage.Stage, namespace string, example int, kinds ...schema.GroupVersionResource) {
	t.Helper()
	manifest, err := stage.Page(example)
	require.NoError(t, err)
	objects := s.Render(t, namespace, manifest)
	require.Len(t, objects, len(kinds))
	for i, o := range objects {
		live, err := s.Get(t.Context(), kinds[i], namespace, o.GetName())
		require.NoError(t, err)
		require.Equal(t, live.GetKind(), o.GetKind())
		within(t, o.GetKind(), o.Object, live.Object)
		if kinds[i] == stage.ScaledObjects {
			require.Equal(t, keys(live), keys(o), "fields that render does not know of")
		}
	}
}

// within goes through every field of what is wanted.
func within(t *testing.T, path string, want, got any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		fields, _ := got.(map[string]any)
		for name, value := range want {
			within(t, path+"."+name, value, fields[name])
		}
	case []any:
		elements, _ := got.([]any)
		require.Len(t, elements, len(want), path)
		for i, value := range want {
			within(t, fmt.Sprintf("%s[%d]", path, i), value, elements[i])
		}
	default:
		require.Equal(t, fmt.Sprint(want), fmt.Sprint(got), path)
	}
}

// keys are the fields of an object's spec.
func keys(o *unstructured.Unstructured) (names []string) {
	spec, _, _ := unstructured.NestedMap(o.Object, "spec")
	for name := range spec {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
