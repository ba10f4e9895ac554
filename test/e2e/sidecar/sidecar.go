// Package sidecar runs the OpenTelemetry Collector that KServe and the
// OpenTelemetry operator put beside a model server: the real program with the
// configuration KServe's controller renders (testdata/kserve.yaml).
package sidecar

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/binary"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
)

// ScrapeInterval is how often the Collectors of these tests scrape and push.
const ScrapeInterval = time.Second

// Pod is the identity the OpenTelemetry operator hands to the sidecar.
type Pod struct {
	Namespace, Deployment, Name string
}

// Config is what the loopback leaves open in KServe's configuration.
type Config struct {
	Pod         Pod
	Target      string   // the model server's host and port
	Endpoint    string   // where the OTLP goes
	MetricNames []string // exactly these pass the filter
	Settings    []string // other than KServe's, such as "exporters::otlp::tls::insecure: false"
}

// Start runs a Collector until the test ends or it is told to.
func Start(t testing.TB, config Config) *process.Process {
	t.Helper()
	path, err := binary.Collector(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	root, err := binary.Root()
	if err != nil {
		t.Fatal(err)
	}
	artifacts, err := binary.Artifacts()
	if err != nil {
		t.Fatal(err)
	}
	args := make([]string, 0, 1+len(config.Settings))
	args = append(args, "--config=file:"+filepath.Join(root, "sidecar", "testdata", "kserve.yaml"))
	for _, setting := range config.Settings {
		args = append(args, "--config=yaml:"+setting)
	}
	return process.Start(t, process.Spec{
		Name: "collector-" + config.Pod.Namespace + "-" + config.Pod.Name,
		Path: path,
		Args: args,
		Env: []string{
			"OTEL_RESOURCE_ATTRIBUTES=" + config.Pod.resource(),
			"METRIC_NAMES=[" + strings.Join(config.MetricNames, ", ") + "]",
			"SCALER_ENDPOINT=" + config.Endpoint,
			"SCRAPE_INTERVAL=" + ScrapeInterval.String(),
			"SCRAPE_TARGET=" + config.Target,
		},
		Logs: artifacts,
	})
}

// resource is what the operator writes into a sidecar's environment, as far as
// the scaler has a use for it.
func (p Pod) resource() string {
	attributes := []string{
		"k8s.deployment.name=" + p.Deployment,
		"k8s.namespace.name=" + p.Namespace,
		"k8s.node.name=node-0",
		"k8s.pod.name=" + p.Name,
	}
	return strings.Join(attributes, ",")
}
