package e2e

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers"
	"github.com/kedacore/keda/v2/pkg/scalers/scalersconfig"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/modelserver"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/sidecar"
)

const pushToken, askToken = "a-token-of-the-sidecars", "a-token-of-kedas-prometheus-trigger"

// secured is the product with every gate there is, and what its peers show.
type secured struct {
	*scaler
	files folder
	ca    *authority
	auth  map[string]string // KEDA's TriggerAuthentication
}

// startSecured asks for client certificates everywhere, and for tokens.
func startSecured(t *testing.T, flags ...string) *secured {
	t.Helper()
	ca := newAuthority(t)
	s := &secured{ca: ca, files: newFolder(t, map[string]string{"ca.crt": ca.text(), "push": pushToken, "ask": askToken})}
	s.serve(t)
	certificate, key := ca.issue(t)
	s.files.write(t, "client.crt", certificate)
	s.files.write(t, "client.key", key)
	s.auth = map[string]string{"caCert": ca.text(), "tlsClientCert": certificate, "tlsClientKey": key}
	flags = append(flags, "--tls-reload-interval=100ms", "--otlp-token-file="+s.files.path("push"), "--http-token-file="+s.files.path("ask"))
	for _, listener := range []string{"otlp-grpc", "otlp-http", "keda", "http"} {
		flags = append(flags, fmt.Sprintf("--%[1]s-tls-cert-file=%[2]s", listener, s.files.path("tls.crt")),
			fmt.Sprintf("--%[1]s-tls-key-file=%[2]s", listener, s.files.path("tls.key")),
			fmt.Sprintf("--%[1]s-tls-client-ca-file=%[2]s", listener, s.files.path("ca.crt")))
	}
	s.scaler = startScaler(t, flags...)
	return s
}

// serve gives the server another certificate.
func (s *secured) serve(t testing.TB) {
	t.Helper()
	certificate, key := s.ca.issue(t)
	s.files.write(t, "tls.crt", certificate)
	s.files.write(t, "tls.key", key)
}

// securedPod runs a pod whose Collector has the certificate and the token.
func (s *secured) securedPod(t testing.TB, namespace string, load float64) *pod {
	t.Helper()
	server := modelserver.Start(t, process.FreeAddress(t), "fbopt")
	server.Set(modelserver.Load{Running: load})
	p := &pod{Server: server, sidecar: sidecar.Config{
		Pod:         sidecar.Pod{Namespace: namespace, Deployment: component, Name: "pod-0"},
		Target:      server.Address(),
		Endpoint:    s.otlp,
		MetricNames: []string{running},
		Settings: []string{
			"exporters::otlp::tls::insecure: false",
			"exporters::otlp::tls::ca_file: " + s.files.path("ca.crt"),
			"exporters::otlp::tls::cert_file: " + s.files.path("client.crt"),
			"exporters::otlp::tls::key_file: " + s.files.path("client.key"),
			"exporters::otlp::headers::authorization: Bearer " + pushToken,
		},
	}}
	p.startSidecar(t)
	return p
}

// securedTrigger is trigger with metadata and a TriggerAuthentication.
func (s *secured) securedTrigger(namespace string, metadata, auth map[string]string) *scalersconfig.ScalerConfig {
	config := s.trigger(namespace, wrapped(running, namespace), "4")
	maps.Copy(config.TriggerMetadata, metadata)
	config.AuthParams = auth
	return config
}

// TestTLS is a real Collector and KEDA's own clients, both with certificates,
// through a change of the server's.
func TestTLS(t *testing.T) {
	t.Parallel()
	const namespace = "tls"
	s := startSecured(t)
	server := s.securedPod(t, namespace, 3)
	config := s.securedTrigger(namespace, map[string]string{"enableTLS": "true"}, s.auth)
	polled, err := scalers.NewExternalScaler(config)
	require.NoError(t, err)
	defer func() { _ = polled.Close(context.Background()) }()
	pushed, err := scalers.NewExternalPushScaler(config)
	require.NoError(t, err)
	activity := newActivity(t.Context(), pushed)
	defer func() {
		activity.stop()
		_ = pushed.Close(context.Background())
	}()
	specs := polled.GetMetricSpecForScaling(t.Context())
	require.Len(t, specs, 1)
	consumer := &consumer{scaler: polled, metric: specs[0].External.Metric.Name}
	consumer.becomes(t, appears, reading{3, true}, 0)
	activity.becomes(t, true)

	before := len(activity.seen())
	s.serve(t)
	poll.Until(t, follows, func(context.Context) error {
		if log := s.Log(); strings.Count(log, "read anew") < 4 {
			return fmt.Errorf("not all listeners have the new certificate")
		}
		return nil
	})
	server.Set(modelserver.Load{})
	consumer.becomes(t, follows, reading{0, false}, 0, answered)
	activity.becomes(t, false)
	require.Len(t, activity.seen(), before+1, "the stream went on through it")
}

// TestKEDAsTLSSettings one by one, and what happens without them.
func TestKEDAsTLSSettings(t *testing.T) {
	t.Parallel()
	s := startSecured(t)
	other := newAuthority(t)
	without := func(key string) map[string]string {
		auth := maps.Clone(s.auth)
		delete(auth, key)
		return auth
	}
	wrong := maps.Clone(s.auth)
	wrong["caCert"] = other.text()
	stranger := maps.Clone(s.auth)
	stranger["tlsClientCert"], stranger["tlsClientKey"] = other.issue(t)
	on := map[string]string{"enableTLS": "true"}
	for _, test := range []struct {
		name           string
		metadata, auth map[string]string
		refused        bool
	}{
		{"all of it", on, s.auth, false},
		{"the certificates alone", nil, s.auth, false},
		{"unsafeSsl without the authority", map[string]string{"enableTLS": "true", "unsafeSsl": "true"}, without("caCert"), false},
		{"no authority", on, without("caCert"), true},
		{"another authority", on, wrong, true},
		{"no client certificate", on, map[string]string{"caCert": s.ca.text()}, true},
		{"a stranger's certificate", on, stranger, true},
		{"no TLS", nil, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			polled, err := scalers.NewExternalScaler(s.securedTrigger("settings", test.metadata, test.auth))
			require.NoError(t, err)
			defer func() { _ = polled.Close(context.Background()) }()
			ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
			defer cancel()
			require.Equal(t, !test.refused, len(polled.GetMetricSpecForScaling(ctx)) == 1)
		})
	}
}

// TestPrometheusTriggerWithAToken is KEDA's own, over TLS with a certificate
// and a bearer token; and our command line with the same.
func TestPrometheusTriggerWithAToken(t *testing.T) {
	t.Parallel()
	const namespace = "token"
	s := startSecured(t)
	s.securedPod(t, namespace, 3)
	trigger := func(token string) *consumer {
		scaler, err := scalers.NewPrometheusScaler(&scalersconfig.ScalerConfig{
			ScalableObjectName: component, ScalableObjectNamespace: namespace, ScalableObjectType: "ScaledObject", GlobalHTTPTimeout: callTimeout,
			TriggerMetadata: map[string]string{"serverAddress": "https://" + s.http + "/keda", "query": running, "threshold": "2", "authModes": "tls,bearer"},
			AuthParams:      map[string]string{"ca": s.auth["caCert"], "cert": s.auth["tlsClientCert"], "key": s.auth["tlsClientKey"], "bearerToken": token},
		})
		require.NoError(t, err)
		t.Cleanup(func() { _ = scaler.Close(context.Background()) })
		return &consumer{scaler: scaler, metric: scaler.GetMetricSpecForScaling(t.Context())[0].External.Metric.Name}
	}
	trigger(askToken).becomes(t, appears, reading{3, true}, 0)
	for _, token := range []string{pushToken, "a-token-that-nobody-has"} {
		_, err := trigger(token).read(t.Context())
		require.ErrorContains(t, err, "401")
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, args := range [][]string{{"query", running}, {"explain"}} {
		out, err := exec.CommandContext(ctx, scalerBinary, append(args, "--server=https://"+s.http, "--ca-file="+s.files.path("ca.crt"),
			"--cert-file="+s.files.path("client.crt"), "--key-file="+s.files.path("client.key"), "--token-file="+s.files.path("ask"))...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
}
