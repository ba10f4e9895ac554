package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
)

// The product's addresses, by which everybody finds it through the hosts file.
const (
	OTLPAddress      = "127.0.0.1:4317"
	kedaAddress      = "127.0.0.1:4318"
	otlpHTTPAddress  = "127.0.0.1:4319"
	HTTPAddress      = "127.0.0.1:9090"
	telemetryAddress = "127.0.0.1:8080"
)

// WarmUp is shorter than the product's default: a play waits for it, and the
// senders here are back within seconds.
const WarmUp = 30 * time.Second

// startProduct runs the binary from the checkout. Besides WarmUp only the
// addresses differ from its defaults: those are wildcards, which would take pods'
// ports as well.
func (s *Stage) startProduct(t testing.TB, flags []string) {
	t.Helper()
	s.Product = s.launch(t, process.Spec{Name: "keda-otel-scaler", Path: s.productAt, Args: append([]string{
		"serve", "--otlp-grpc-address=" + OTLPAddress, "--otlp-http-address=" + otlpHTTPAddress, "--keda-address=" + kedaAddress,
		"--http-address=" + HTTPAddress, "--telemetry-address=" + telemetryAddress, "--warm-up=" + WarmUp.String(),
	}, flags...)}, func(ctx context.Context) error {
		return get(ctx, http.DefaultClient, "http://"+telemetryAddress+"/readyz")
	})
	s.Product.Wait(t)
}

// Query asks the product's Prometheus API for a number. An empty answer is an
// error.
func Query(ctx context.Context, query string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+HTTPAddress+"/api/v1/query?query="+url.QueryEscape(query), nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Error string `json:"error"`
		Data  struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if len(answer.Data.Result) != 1 {
		return 0, fmt.Errorf("%s: %d elements %s", query, len(answer.Data.Result), answer.Error)
	}
	return strconv.ParseFloat(fmt.Sprint(answer.Data.Result[0].Value[1]), 64)
}

// Explain returns what the product's own command says of a ScaledObject.
func (s *Stage) Explain(ctx context.Context, namespace, name string) (string, error) {
	return s.run(ctx, "", s.productAt, "explain", namespace+"/"+name)
}

// Render returns what the product's own command makes of an InferenceService
// with the cluster's configuration of KServe.
func (s *Stage) Render(t testing.TB, namespace, manifest string) []*unstructured.Unstructured {
	t.Helper()
	config := s.file(t, "inferenceservice-config.yaml",
		s.Kubectl(t, "get", "configmap", "inferenceservice-config", "--namespace=kserve", "--output=yaml"))
	out, err := s.run(t.Context(), manifest, s.productAt, "render", "--kserve-config="+config, "--namespace="+namespace, "--file=-")
	require.NoError(t, err)
	return objects(strings.NewReader(out))
}

// Check has the product's own command look at manifests; what it says of faults
// is in the error.
func (s *Stage) Check(ctx context.Context, manifests string) error {
	_, err := s.run(ctx, manifests, s.productAt, "check", "--file=-")
	return err
}
