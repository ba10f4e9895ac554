package stage

import (
	"fmt"
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
	args := []string{
		"--kubeconfig=" + s.admin, "--manage-all-nodes=true", "--node-ip=10.0.0.1",
		"--cidr=" + strings.Replace(PodNetwork, ".1/", ".0/", 1), "--node-lease-duration-seconds=40",
	}
	for _, stage := range []string{
		"node/fast/node-initialize", "node/heartbeat-with-lease/node-heartbeat-with-lease",
		"pod/fast/pod-ready", "pod/fast/pod-complete", "pod/fast/pod-delete",
	} {
		args = append(args, "--config="+filepath.Join(module, "kustomize", "stage", stage+".yaml"))
	}
	s.installText(t, fmt.Sprintf(`
apiVersion: v1
kind: Node
metadata:
  name: node-0
  annotations: {kwok.x-k8s.io/node: fake}
  labels: {kubernetes.io/hostname: node-0, kubernetes.io/os: linux, type: kwok}
status:
  allocatable: {cpu: "1k", memory: 10Ti, pods: "1000"}
  capacity: {cpu: "1k", memory: 10Ti, pods: "1000"}
`))
	s.launch(t, process.Spec{Name: "kwok", Path: s.programs.Kwok, Args: args}, nil)
}
