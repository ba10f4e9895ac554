package inspect

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	inspectv1 "github.com/keda-otel-scaler/keda-otel-scaler/proto/inspect/v1"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
)

// TestBadRequests of every method, with nothing but net/http.
func TestBadRequests(t *testing.T) {
	r := newRig(t, scaler.Options{})
	r.push("a", 5)
	r.poll("model", kserve)
	const good = `{"namespace":"default","name":"model"}`
	for _, tc := range []struct {
		name, method string
		body         string
		headers      []string
		code         int
		want         string
	}{
		{"GET", http.MethodGet, "", nil, 405, ""},
		{"PUT", http.MethodPut, good, nil, 405, ""},
		{"no type", http.MethodPost, good, []string{"Content-Type", ""}, 415, ""},
		{"another type", http.MethodPost, good, []string{"Content-Type", "text/plain"}, 415, ""},
		{"JSON as protobuf", http.MethodPost, good, []string{"Content-Type", "application/proto"}, 400, "invalid_argument"},
		{"protobuf as JSON", http.MethodPost, "\n\x07default", nil, 400, "invalid_argument"},
		{"another encoding", http.MethodPost, good, []string{"Content-Encoding", "br"}, 501, "unimplemented"},
		{"not gzip", http.MethodPost, good, []string{"Content-Encoding", "gzip"}, 400, "invalid_argument"},
		{"cut short", http.MethodPost, good[:20], nil, 400, "invalid_argument"},
		{"of wrong types", http.MethodPost, `{"namespace":7,"contains":[],"pageSize":"x"}`, nil, 400, "invalid_argument"},
		{"no object", http.MethodPost, `[]`, nil, 400, "invalid_argument"},
		{"deep", http.MethodPost, strings.Repeat(`{"a":`, 10_000), nil, 400, "invalid_argument"},
		{"too large", http.MethodPost, `{"namespace":"` + strings.Repeat("x", maxRequest) + `"}`, nil, 429, "resource_exhausted"},
	} {
		for _, method := range []string{"ListScaledObjects", "GetScaledObject", "ListMetrics"} {
			request, err := http.NewRequestWithContext(t.Context(), tc.method, r.url+"/keda_otel_scaler.inspect.v1.InspectService/"+method, strings.NewReader(tc.body))
			require.NoError(t, err)
			request.Header.Set("Content-Type", "application/json")
			for i := 0; i < len(tc.headers); i += 2 {
				request.Header.Set(tc.headers[i], tc.headers[i+1])
			}
			response, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, tc.code, response.StatusCode, "%s, %s: %s", method, tc.name, body)
			require.Contains(t, string(body), tc.want, "%s, %s", method, tc.name)
		}
	}
	require.Equal(t, "value", r.trigger("model").GetNow().GetCause(), "after all that")
}

// TestAskersThatGoAway leave nothing behind, which TestMain looks for.
func TestAskersThatGoAway(t *testing.T) {
	r := newRig(t, scaler.Options{})
	r.push("a", 5)
	r.poll("model", kserve)
	ctx, leave := context.WithCancel(t.Context())
	watch, err := r.client.WatchScaledObject(ctx, &inspectv1.WatchScaledObjectRequest{Namespace: "default", Name: "model"})
	require.NoError(t, err)
	require.True(t, watch.Receive())
	leave()
	require.False(t, watch.Receive())
	require.Equal(t, connect.CodeCanceled, connect.CodeOf(watch.Err()))
	require.NoError(t, watch.Close())
	_, err = r.client.GetScaledObject(ctx, &inspectv1.GetScaledObjectRequest{Namespace: "default", Name: "model"})
	require.Equal(t, connect.CodeCanceled, connect.CodeOf(err))

	// Half a request, whose sender then goes.
	half, send := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/keda_otel_scaler.inspect.v1.InspectService/GetScaledObject",
		io.MultiReader(bytes.NewReader([]byte(`{"namespace":`)), half))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	require.NoError(t, send.CloseWithError(context.Canceled))
	_, err = http.DefaultClient.Do(request) //nolint:bodyclose // there is none
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, "value", r.trigger("model").GetNow().GetCause())
}
