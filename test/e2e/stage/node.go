package stage

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/binary"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
)

// startNode runs kwok, and gives the scheduler a node to put pods on. kwok has
// no behaviour built in: what its module says a node and a pod do is handed over.
func (s *Stage) startNode(t testing.TB) {
	t.Helper()
	module, err := binary.ModuleDir(t.Context(), "kwok", "sigs.k8s.io/kwok")
	require.NoError(t, err)
	stage := func(path string) string { return filepath.Join(module, "kustomize", "stage", path+".yaml") }
	s.installText(t, `
apiVersion: v1
kind: Node
metadata:
  name: node-0
  annotations: {kwok.x-k8s.io/node: fake}
  labels: {kubernetes.io/hostname: node-0, kubernetes.io/os: linux, type: kwok}
status:
  allocatable: {cpu: "1k", memory: 10Ti, pods: "1000"}
  capacity: {cpu: "1k", memory: 10Ti, pods: "1000"}
`)
	s.launch(t, process.Spec{Name: "kwok", Path: s.programs.Kwok, Args: []string{
		"--kubeconfig=" + s.admin, "--manage-all-nodes=true", "--node-ip=10.0.0.1",
		"--cidr=" + strings.Replace(podNetwork, ".1/", ".0/", 1), "--node-lease-duration-seconds=40",
		"--config=" + stage("node/fast/node-initialize"), "--config=" + stage("node/heartbeat-with-lease/node-heartbeat-with-lease"),
		"--config=" + stage("pod/fast/pod-ready"), "--config=" + stage("pod/fast/pod-complete"), "--config=" + stage("pod/fast/pod-delete"),
	}}, nil)
}
