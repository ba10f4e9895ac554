package httpapi

import (
	"context"
	"net/http"
	"testing"

	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// TestUnderKEDAOneNamespaceIsSeen: the one that the request names, on every path.
func TestUnderKEDAOneNamespaceIsSeen(t *testing.T) {
	var asked []string
	f := newFixture(t, func(o *Options) {
		o.Within = func(namespace string) storage.Queryable {
			return query.Scope{Label: "namespace", Value: namespace}.Within(o.Queryable)
		}
		o.Decide = func(_ context.Context, namespace, _ string) (float64, error) {
			asked = append(asked, namespace)
			return map[string]float64{"b": 10}[namespace], nil
		}
	})
	f.load(t, `
		running{namespace="a", pod="p"}  1 1 1
		running{namespace="b", pod="q"}  10 10 10
		secret{namespace="b"}            10 10 10`)
	for _, path := range []string{
		"query?query=running", "query?query=secret", "query_range?query=running&start=1700000000&end=1700000010&step=5",
		"series?match[]=running", "labels?", "label/pod/values?", "label/__name__/values?match[]=running", "metadata?", "status/tsdb?",
	} {
		for _, without := range []string{"", "&namespace=", "&namespace=a&namespace=b"} {
			w := f.do(get(t.Context(), "/keda/api/v1/"+path+without))
			require.Equal(t, http.StatusBadRequest, w.Code, path)
			require.Contains(t, w.Body.String(), "name it once, in a prometheus trigger by the metadata namespace")
		}
		w := f.do(get(t.Context(), "/keda/api/v1/"+path+"&namespace=a"))
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
		for _, other := range []string{`"b"`, `"q"`, `secret`, `"10"`, `"11"`} {
			require.NotContains(t, w.Body.String(), other, path)
		}
		require.Equal(t, http.StatusOK, f.do(get(t.Context(), "/api/v1/"+path)).Code, "elsewhere none is needed")
	}
	require.Contains(t, f.do(get(t.Context(), "/keda/api/v1/query?query=running&namespace=b")).Body.String(), `"10"`)
	require.Equal(t, []string{"a", "a", "b"}, asked, "the namespace that decides is the one that the request names")
}
