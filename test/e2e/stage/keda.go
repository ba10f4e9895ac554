package stage

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/binary"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
)

const kedaMetricsService = "127.0.0.1:9666"

// startKEDA installs KEDA's own manifests, but for the Deployments, and runs
// the operator and the metrics adapter with the flags those have.
func (s *Stage) startKEDA(t testing.TB) {
	t.Helper()
	module, err := binary.ModuleDir(t.Context(), "keda", "github.com/kedacore/keda/v2")
	require.NoError(t, err)
	config := func(path string) string { return filepath.Join(module, "config", path) }
	s.installText(t, namespaced("keda"))
	s.install(t, config("crd/bases"),
		config("service_account/service_account.yaml"), config("rbac/role.yaml"), config("rbac/role_binding.yaml"),
		config("metrics-server/role.yaml"), config("metrics-server/role_binding.yaml"))
	s.established(t)

	s.keda, err = s.ca.issue("keda-operator", nil, "keda-operator.keda.svc", "keda-operator.keda.svc.cluster.local",
		"keda-metrics-apiserver.keda.svc", "localhost", "127.0.0.1")
	require.NoError(t, err)
	account := s.account(t, "keda", "keda-operator")
	env := []string{"WATCH_NAMESPACE=", "POD_NAMESPACE=keda", "KEDA_CLUSTER_OBJECT_NAMESPACE=keda", "KUBECONFIG=" + account}
	s.KEDA = s.launch(t, process.Spec{Name: "keda-operator", Path: s.programs.KEDAOperator, Env: env, Args: []string{
		"--leader-elect=false", "--zap-log-level=info", "--zap-encoder=console", "--zap-time-encoding=rfc3339",
		"--metrics-bind-address=127.0.0.1:18080", "--health-probe-bind-address=127.0.0.1:18081",
		"--metrics-service-bind-address=" + kedaMetricsService, "--cert-dir=" + s.keda.dir,
		"--kube-api-qps=200", "--kube-api-burst=400",
	}}, listens(kedaMetricsService))
	s.Adapter = s.launch(t, process.Spec{Name: "keda-adapter", Path: s.programs.KEDAAdapter, Env: env, Args: []string{
		"--secure-port=6444", "--bind-address=127.0.0.1", "--port=18082", "--zap-log-level=error",
		"--metrics-service-address=" + kedaMetricsService, "--metrics-service-grpc-authority=keda-operator.keda.svc.cluster.local",
		"--cert-dir=" + s.keda.dir, "--tls-cert-file=" + s.keda.certFile(), "--tls-private-key-file=" + s.keda.keyFile(),
		"--client-ca-file=" + s.keda.caFile(),
		"--lister-kubeconfig=" + account, "--authentication-kubeconfig=" + account, "--authorization-kubeconfig=" + account,
	}}, listens("127.0.0.1:6444"))
	s.serveAPI(t, "external.metrics.k8s.io", "keda", "keda-metrics-apiserver", 6444)
	s.KEDA.Wait(t)
	s.Adapter.Wait(t)
	s.available(t, "external.metrics.k8s.io")
}

// serveAPI tells the API server to ask a port of the loopback for an API group.
// A Service without endpoints cannot be routed to; one that is another name for
// localhost can.
func (s *Stage) serveAPI(t testing.TB, group, namespace, service string, port int) {
	t.Helper()
	s.installText(t, fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %[3]s, namespace: %[2]s}
spec: {type: ExternalName, externalName: localhost}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.%[1]s}
spec:
  group: %[1]s
  version: v1beta1
  service: {name: %[3]s, namespace: %[2]s, port: %[4]d}
  caBundle: %[5]s
  groupPriorityMinimum: 100
  versionPriority: 100
`, group, namespace, service, port, s.ca.bundle()))
}

// available waits until the API server has an answer from the group's server.
func (s *Stage) available(t testing.TB, group string) {
	t.Helper()
	poll.Until(t, startWithin, func(ctx context.Context) error {
		_, err := s.Try(ctx, "", "get", "--raw", "/apis/"+group+"/v1beta1")
		return err
	})
}

// established waits for every custom resource: controllers look for them once.
func (s *Stage) established(t testing.TB) {
	t.Helper()
	s.Kubectl(t, "wait", "customresourcedefinitions", "--all", "--for=condition=Established", "--timeout="+startWithin.String())
}

func namespaced(name string) string {
	return "{apiVersion: v1, kind: Namespace, metadata: {name: " + name + "}}\n"
}
