package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/binary"
)

var (
	soakFor  = flag.Duration("soak", 30*time.Second, "how long TestSoak runs; growth is judged from five minutes on")
	soakSeed = flag.Uint64("soak-seed", uint64(time.Now().UnixNano()), "of TestSoak's chances")
	soakRace = flag.Bool("soak-race", false, "have TestSoak run a product with the race detector")
)

// soakRetention makes what is stored come and go many times in a run.
const soakRetention = 30 * time.Second

// soak is one product under everything that happens in a month.
type soak struct {
	*secured
	client *tls.Config
	ctx    context.Context
	all    sync.WaitGroup
}

// TestSoak has pods come, go and die, ScaledObjects change, certificates rotate,
// snapshots be written, a Collector restart and queries hammer, and compares every answer with a model.
func TestSoak(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), *soakFor)
	defer cancel()
	t.Logf("-soak-seed=%d", *soakSeed)
	s := &soak{ctx: ctx, secured: startSecured(t, "--retention="+soakRetention.String(), "--warm-up=0s", "--query-cache-size=100",
		"--profiling", "--http-sum-selectors", "--snapshot-path="+filepath.Join(t.TempDir(), "snapshot"), "--snapshot-interval=1s")}
	s.client = s.clientTLS(t)

	curves := &curves{}
	s.every(time.Second, func() { curves.sample(t, s) })
	s.every(2*time.Second, func() { s.serve(t) })
	for range 2 {
		s.all.Go(func() { s.hammer(t) })
	}
	s.all.Go(func() { s.restartCollector(t) })
	for i := range 8 {
		// Half of the fleets lose no pod silently.
		f := newFleet(t, s, fmt.Sprintf("fleet-%d", i), i%2 == 0, rand.New(rand.NewPCG(*soakSeed, uint64(i))))
		s.every(200*time.Millisecond, f.step)
		s.all.Go(f.watch)
	}
	s.all.Wait()

	t.Logf("%s", curves)
	artifacts, err := binary.Artifacts()
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(artifacts, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(artifacts, "soak.svg"), curves.picture(), 0o644))
	require.Zero(t, s.Terminate(t))
	require.NotContains(t, s.Log(), "DATA RACE")
	require.NotContains(t, s.Log(), "panic")
	if *soakFor >= 5*time.Minute {
		curves.judge(t)
	}
}

// every does something again and again until the end.
func (s *soak) every(pause time.Duration, do func()) {
	s.all.Go(func() {
		ticker := time.NewTicker(pause)
		defer ticker.Stop()
		for {
			select {
			case <-s.ctx.Done():
				return
			case <-ticker.C:
				do()
			}
		}
	})
}

// clientTLS is of a peer with a certificate.
func (s *soak) clientTLS(t *testing.T) *tls.Config {
	t.Helper()
	own, err := tls.X509KeyPair([]byte(s.auth["tlsClientCert"]), []byte(s.auth["tlsClientKey"]))
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(s.ca.certificate)
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{own}}
}

// dial connects with the certificate, and a token if one is given.
func (s *soak) dial(t *testing.T, address, token string) *grpc.ClientConn {
	t.Helper()
	options := []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(s.client))}
	if token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer(token)))
	}
	conn, err := grpc.NewClient(address, options...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

// hammer asks the HTTP API one question after the other, over a new connection
// now and then.
func (s *soak) hammer(t *testing.T) {
	paths := []string{
		"query?query=" + running, "query?query=sum+by(namespace)(" + running + ")", "query?query=topk(3," + running + ")",
		"query_range?query=sum(" + running + ")&start=%[1]d&end=%[2]d&step=1", "query_range?query=max_over_time(" + running + "[10s])&start=%[1]d&end=%[2]d&step=1",
		"series?match[]=" + running, "labels", "label/pod/values", "metadata", "status/tsdb",
	}
	transport := &http.Transport{TLSClientConfig: s.client, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for n := 0; s.ctx.Err() == nil; n++ {
		path := paths[n%len(paths)]
		if strings.Contains(path, "%") {
			path = fmt.Sprintf(path, time.Now().Add(-soakRetention).Unix(), time.Now().Unix())
		}
		if n%50 == 0 {
			transport.CloseIdleConnections()
		}
		request, err := http.NewRequestWithContext(s.ctx, http.MethodGet, "https://"+s.http+"/api/v1/"+path, nil)
		if err != nil {
			t.Error(err)
			return
		}
		request.Header.Set("Authorization", "Bearer "+askToken)
		response, err := client.Do(request)
		if err != nil {
			if s.ctx.Err() == nil {
				t.Errorf("%s: %v", path, err)
			}
			return
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, response.Status)
		}
		select { // a load of its own choice
		case <-s.ctx.Done():
		case <-pace.C:
		}
	}
}

// restartCollector ends a pod's Collector and starts it again, in good order and
// by force: its last value is reported, or an error.
func (s *soak) restartCollector(t *testing.T) {
	const namespace, load = "collector", 3
	p := s.securedPod(t, namespace, load)
	keda, ref := externalScaler(s, t), s.ref(namespace, wrapped(running, namespace), "4")
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	seen := false
	for n := 1; ; n++ {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		}
		value, err := valueOf(s.ctx, keda, ref)
		switch {
		case s.ctx.Err() != nil:
			return
		case err == nil && value == load:
			seen = true
		case err == nil && seen:
			t.Errorf("a pod whose Collector restarts reads %v, want %v or an error", value, load)
		}
		if seen && n%100 == 0 {
			if n%200 == 0 {
				p.Kill(t)
			} else {
				p.Terminate(t)
			}
			p.startSidecar(t)
		}
	}
}
