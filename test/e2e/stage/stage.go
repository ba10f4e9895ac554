package stage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/binary"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
)

// hosts are the names that a cluster's DNS would resolve, by KServe's defaults
// and by the user's page.
const hosts = `127.0.0.1 localhost
127.0.0.1 keda-otel-scaler.keda.svc keda-otel-scaler.keda.svc.cluster.local
127.0.0.1 prometheus.istio-system.svc.cluster.local
`

// podNetwork holds the addresses that kwok gives to pods.
const podNetwork = "10.244.0.1/16"

// startWithin bounds the start of each program: on two cores they compete.
const startWithin = 90 * time.Second

// Stage is a running cluster. Its fields are set once it is up.
type Stage struct {
	Objects dynamic.Interface
	CPU     *CPU
	Kubelet *Kubelet

	APIServer, KEDA, Adapter, KServe, Product *Program

	programs  binary.ControlPlane
	dir       string // of certificates and the like; gone after the test
	logs      string
	informers informers
	ca        *authority
	admin     string // kubeconfig
	keda      identity
	productAt string
}

// Start brings up a cluster that ends with the test. Programs that depend on
// nothing of each other start side by side; whatever looks for an API only once
// starts after it is there.
func Start(t testing.TB, productFlags ...string) *Stage {
	t.Helper()
	begin := time.Now()
	s := &Stage{dir: t.TempDir()}
	var err error
	s.programs, err = binary.NewControlPlane(t.Context())
	require.NoError(t, err)
	s.productAt, err = binary.Scaler(t.Context())
	require.NoError(t, err)
	s.logs, err = binary.Artifacts()
	require.NoError(t, err)
	s.ca, err = newAuthority(s.dir)
	require.NoError(t, err)

	// KEDA backs off for minutes from a scaler that is not there yet.
	s.startProduct(t, productFlags)
	s.startKubernetes(t)
	s.startNode(t)
	s.startKEDA(t)
	s.startKServe(t)
	s.CPU = s.startCPU(t)
	s.Kubelet = s.startKubelet(t)
	t.Logf("a cluster with KEDA and KServe is up after %s; to look: nsenter -t %d -n -m --preserve-credentials %s --kubeconfig=%s get pods -A",
		time.Since(begin).Round(100*time.Millisecond), os.Getpid(), s.programs.Kubectl, s.admin)
	return s
}

// connect makes the client. client-go's own limit of 5 requests a second would
// be what is measured.
func (s *Stage) connect(t testing.TB) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", s.admin)
	require.NoError(t, err)
	config.QPS, config.Burst = 200, 400
	s.Objects, err = dynamic.NewForConfig(config)
	require.NoError(t, err)
}

// Program is one that can be ended and started again, as a pod is.
type Program struct {
	*process.Process
	t     testing.TB // of the stage: a program outlives the play that starts it again
	spec  process.Spec
	name  string
	ready func(context.Context) error
	runs  int
}

// launch starts a program; wait for it, or for several at once.
func (s *Stage) launch(t testing.TB, spec process.Spec, ready func(context.Context) error) *Program {
	t.Helper()
	spec.Logs = s.logs
	p := &Program{t: t, spec: spec, name: spec.Name, ready: ready}
	p.Start()
	return p
}

// Start runs the program, which must not be running, once more, with arguments
// after its own. It ends with the stage at the latest.
func (p *Program) Start(more ...string) {
	p.t.Helper()
	spec := p.spec
	if p.runs++; p.runs > 1 {
		spec.Name = fmt.Sprintf("%s-%d", p.name, p.runs)
	}
	spec.Args = slices.Concat(spec.Args, more)
	p.Process = process.Start(p.t, spec)
}

// Wait returns when the program is of use.
func (p *Program) Wait(t testing.TB) {
	t.Helper()
	poll.Until(t, startWithin, func(ctx context.Context) error {
		select {
		case <-p.Exited():
			t.Fatalf("%s has ended:\n%s", p.name, p.Tail())
		default:
		}
		if err := p.ready(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		return nil
	})
}

// file puts content into a file of the stage and returns its path.
func (s *Stage) file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}
