package binary

import (
	"context"
	"fmt"
	"log"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// stripped leaves out what only a debugger would want: 40 % of the bytes.
const stripped = "-ldflags=-s -w"

// stamped adds the version, to both packages that hold one. Without it the API
// server has none, and charts that ask refuse it.
const stamped = stripped +
	" -X k8s.io/component-base/version.gitVersion=v1.36.3 -X k8s.io/client-go/pkg/version.gitVersion=v1.36.3" +
	" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/client-go/pkg/version.gitMajor=1" +
	" -X k8s.io/component-base/version.gitMinor=36 -X k8s.io/client-go/pkg/version.gitMinor=36" +
	" -X k8s.io/component-base/version.gitTreeState=clean -X k8s.io/client-go/pkg/version.gitTreeState=clean" +
	" -X k8s.io/component-base/version.buildDate=1970-01-01T00:00:00Z -X k8s.io/client-go/pkg/version.buildDate=1970-01-01T00:00:00Z"

// ControlPlane is the paths of what a stage runs beside the product.
type ControlPlane struct {
	Etcd, APIServer, ControllerManager, Scheduler, Kubectl string
	KEDAOperator, KEDAAdapter                              string
	KServe, Kwok, Helm, Collector                          string
}

// NewControlPlane builds what is missing, one program after the other: KEDA's
// operator alone takes 3 GB while it is compiled.
func NewControlPlane(ctx context.Context) (c ControlPlane, err error) {
	for _, p := range []struct {
		path                     *string
		module, name, flags, pkg string
	}{
		{&c.APIServer, "kubernetes", "kube-apiserver", stamped, "k8s.io/kubernetes/cmd/kube-apiserver"},
		{&c.ControllerManager, "kubernetes", "kube-controller-manager", stamped, "k8s.io/kubernetes/cmd/kube-controller-manager"},
		{&c.Scheduler, "kubernetes", "kube-scheduler", stamped, "k8s.io/kubernetes/cmd/kube-scheduler"},
		{&c.Kubectl, "kubernetes", "kubectl", stamped, "k8s.io/kubernetes/cmd/kubectl"},
		{&c.Etcd, "etcd", "etcd", stripped, "go.etcd.io/etcd/server/v3"},
		{&c.KEDAOperator, "keda", "keda-operator", stripped, "github.com/kedacore/keda/v2/cmd/operator"},
		{&c.KEDAAdapter, "keda", "keda-adapter", stripped, "github.com/kedacore/keda/v2/cmd/adapter"},
		{&c.KServe, "kserve", "kserve-controller", stripped, "github.com/kserve/kserve/cmd/manager"},
		{&c.Kwok, "kwok", "kwok", stripped, "sigs.k8s.io/kwok/cmd/kwok"},
		{&c.Helm, "helm", "helm", stripped, "helm.sh/helm/v3/cmd/helm"},
	} {
		begin := time.Now()
		if *p.path, err = tool(ctx, p.module, p.name, p.flags, p.pkg); err != nil {
			return c, err
		}
		if took := time.Since(begin); took > 5*time.Second {
			log.Printf("built %s in %s", p.name, took.Round(time.Second))
		}
	}
	c.Collector, err = Collector(ctx)
	return c, err
}

// All builds every program the end-to-end tests start.
func All(ctx context.Context) error {
	_, err := NewControlPlane(ctx)
	for _, program := range []func(context.Context) (string, error){Prometheus, Promtool, Scaler} {
		if err == nil {
			_, err = program(ctx)
		}
	}
	return err
}

// ModuleDir returns the folder of the sources of a module that tools/<tool>
// pins: manifests come with the programs they are for.
func ModuleDir(ctx context.Context, tool, module string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := ""
	// The binaries may come from a cache that outlived the modules'.
	for _, args := range [][]string{{"mod", "download", module}, {"list", "-m", "-f={{.Dir}}", module}} {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = filepath.Join(root, "tools", tool)
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("go %s in %s: %w", args, cmd.Dir, err)
		}
		dir = strings.TrimSpace(string(out))
	}
	return dir, nil
}
