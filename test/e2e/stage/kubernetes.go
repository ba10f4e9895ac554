package stage

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
)

const (
	etcdURL      = "http://127.0.0.1:2379"
	apiServerURL = "https://127.0.0.1:6443"
)

// startKubernetes runs etcd, the API server, the controller manager and the
// scheduler.
func (s *Stage) startKubernetes(t testing.TB) {
	t.Helper()
	etcd := s.launch(t, process.Spec{Name: "etcd", Path: s.programs.Etcd, Args: []string{
		"--data-dir=" + filepath.Join(s.dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls=" + etcdURL, "--advertise-client-urls=" + etcdURL,
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=default=http://127.0.0.1:2380", "--log-level=warn",
	}}, func(ctx context.Context) error { return get(ctx, http.DefaultClient, etcdURL+"/health") })

	server, err := s.ca.issue("kube-apiserver", nil, "127.0.0.1", "localhost", "kubernetes.default.svc", "10.96.0.1")
	require.NoError(t, err)
	accounts, err := s.ca.issue("service-accounts", nil)
	require.NoError(t, err)
	proxy, err := s.ca.issue("front-proxy", nil)
	require.NoError(t, err)
	s.admin = s.user(t, "admin", "system:masters")
	s.connect(t)
	etcd.Wait(t)
	s.APIServer = s.launch(t, process.Spec{Name: "kube-apiserver", Path: s.programs.APIServer, Args: []string{
		"--etcd-servers=" + etcdURL, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=6443",
		"--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/24",
		"--authorization-mode=RBAC", "--allow-privileged=true",
		"--tls-cert-file=" + server.certFile(), "--tls-private-key-file=" + server.keyFile(), "--client-ca-file=" + server.caFile(),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + accounts.certFile(), "--service-account-signing-key-file=" + accounts.keyFile(),
		"--requestheader-client-ca-file=" + proxy.caFile(), "--requestheader-allowed-names=front-proxy",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + proxy.certFile(), "--proxy-client-key-file=" + proxy.keyFile(),
	}}, func(ctx context.Context) error { return get(ctx, s.client(t), apiServerURL+"/readyz") })
	s.APIServer.Wait(t)

	manager := s.launch(t, process.Spec{Name: "kube-controller-manager", Path: s.programs.ControllerManager, Args: []string{
		"--kubeconfig=" + s.user(t, "system:kube-controller-manager"), "--bind-address=127.0.0.1",
		"--controllers=*", "--use-service-account-credentials=true", "--leader-elect=false",
		"--service-account-private-key-file=" + accounts.keyFile(), "--root-ca-file=" + server.caFile(),
		"--horizontal-pod-autoscaler-sync-period=2s", "--horizontal-pod-autoscaler-downscale-stabilization=10s",
		"--kube-api-qps=200", "--kube-api-burst=400", // for 200 autoscalers every two seconds
	}}, func(ctx context.Context) error { return get(ctx, unverified, "https://127.0.0.1:10257/healthz") })
	scheduler := s.launch(t, process.Spec{Name: "kube-scheduler", Path: s.programs.Scheduler, Args: []string{
		"--kubeconfig=" + s.user(t, "system:kube-scheduler"), "--bind-address=127.0.0.1", "--leader-elect=false",
	}}, func(ctx context.Context) error { return get(ctx, unverified, "https://127.0.0.1:10259/healthz") })
	manager.Wait(t)
	scheduler.Wait(t)
}

// user writes a kubeconfig for somebody known by a certificate.
func (s *Stage) user(t testing.TB, name string, groups ...string) string {
	t.Helper()
	i, err := s.ca.issue(name, groups)
	require.NoError(t, err)
	file, err := s.ca.kubeconfig(name, withCertificate(i))
	require.NoError(t, err)
	return file
}

// account writes a kubeconfig for a service account, as its pod would have it.
func (s *Stage) account(t testing.TB, namespace, name string) string {
	t.Helper()
	token := s.Kubectl(t, "create", "token", name, "--namespace="+namespace, "--duration=24h")
	file, err := s.ca.kubeconfig(name, withToken(token))
	require.NoError(t, err)
	return file
}

// client trusts the stage's authority.
func (s *Stage) client(testing.TB) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(s.ca.certificate)
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}
}

// unverified asks servers that sign their own certificates whether they live.
var unverified = &http.Client{Transport: &http.Transport{
	DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
}}

func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %s", url, response.Status, body)
	}
	return err
}

// listens tells whether somebody takes connections at address.
func listens(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return connection.Close()
	}
}
