package access

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/certtest"
)

// meet has a client dial a server once, and returns what the server says of it.
func meet(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	met := make(chan error, 1)
	var state tls.ConnectionState
	go func() {
		raw, err := listener.Accept()
		if err == nil {
			defer func() { _ = raw.Close() }()
			conn := tls.Server(raw, server)
			err = conn.HandshakeContext(t.Context())
			if err == nil {
				_, err = conn.Write([]byte("hello"))
			}
			state = conn.ConnectionState()
		}
		met <- err
	}()
	_, err = dial(t, listener.Addr().String(), client)
	refused := <-met
	require.Equal(t, refused == nil, err == nil, "the server says %v, the client %v", refused, err)
	return state, refused
}

// TestClientCertificates: who gets in.
func TestClientCertificates(t *testing.T) {
	ca, other := certtest.Authority(t), certtest.Authority(t)
	rsaBits := func(bits int) func(*x509.Certificate, *crypto.Signer) {
		return func(_ *x509.Certificate, key *crypto.Signer) {
			k, err := rsa.GenerateKey(rand.Reader, bits)
			require.NoError(t, err)
			*key = k
		}
	}
	authority := func(c *x509.Certificate, _ *crypto.Signer) {
		c.BasicConstraintsValid, c.IsCA, c.KeyUsage = true, true, x509.KeyUsageCertSign
	}
	rsaCA := certtest.New(t, nil, authority, rsaBits(2048))
	weakBetween := certtest.New(t, ca, authority, rsaBits(1024))
	issue := func(parent *certtest.Cert, change ...func(*x509.Certificate, *crypto.Signer)) []tls.Certificate {
		c := certtest.New(t, parent, change...).TLS()
		if parent == weakBetween {
			c.Certificate = append(c.Certificate, parent.Raw)
		}
		return []tls.Certificate{c}
	}
	dated := func(from, to time.Duration) func(*x509.Certificate, *crypto.Signer) {
		return func(c *x509.Certificate, _ *crypto.Signer) {
			c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to)
		}
	}
	serverOnly := func(c *x509.Certificate, _ *crypto.Signer) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	sha1 := func(c *x509.Certificate, _ *crypto.Signer) { c.SignatureAlgorithm = x509.SHA1WithRSA }

	_, served := newBench().volume(t, certtest.Server(t, certtest.New(t, ca), ca, rsaCA))
	for name, tc := range map[string]struct {
		certificates []tls.Certificate
		refused      string // what the server says of it
	}{
		"right":                   {issue(ca), ""},
		"right, RSA 2048":         {issue(rsaCA, rsaBits(2048)), ""},
		"none":                    {nil, "client didn't provide a certificate"},
		"of another authority":    {issue(other), "unknown authority"},
		"signed by itself":        {issue(nil), "unknown authority"},
		"ended":                   {issue(ca, dated(-2*time.Hour, -time.Hour)), "certificate has expired or is not yet valid"},
		"not yet valid":           {issue(ca, dated(time.Hour, 2*time.Hour)), "certificate has expired or is not yet valid"},
		"of a server":             {issue(ca, serverOnly), "incompatible key usage"},
		"RSA 1024":                {issue(ca, rsaBits(1024)), ErrWeakKey.Error()},
		"below one of RSA 1024":   {issue(weakBetween), ErrWeakKey.Error()},
		"SHA-1, which Go refuses": {issue(rsaCA, sha1), "insecure algorithm SHA1-RSA"},
	} {
		t.Run(name, func(t *testing.T) {
			client := &tls.Config{RootCAs: certtest.Pool(ca)}
			if tc.certificates != nil { // sent although the server says that it will not do
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tc.certificates[0], nil }
			}
			_, err := meet(t, served.Config(), client)
			if tc.refused == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.refused)
		})
	}
}

func TestLeastVersion(t *testing.T) {
	ca := certtest.Authority(t)
	files := certtest.Server(t, certtest.New(t, ca))
	old := &tls.Config{RootCAs: certtest.Pool(ca), MaxVersion: tls.VersionTLS12}
	ancient := &tls.Config{RootCAs: certtest.Pool(ca), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}

	_, served := newBench().volume(t, files)
	_, err := meet(t, served.Config(), old)
	require.ErrorContains(t, err, "client offered only unsupported versions")

	version, err := ParseVersion("1.2")
	require.NoError(t, err)
	_, served = newBench().volume(t, files, func(o *TLSOptions) { o.MinVersion = version })
	state, err := meet(t, served.Config(), old)
	require.NoError(t, err)
	require.Equal(t, uint16(tls.VersionTLS12), state.Version)
	_, err = meet(t, served.Config(), ancient)
	require.ErrorContains(t, err, "client offered only unsupported versions")

	version, err = ParseVersion("1.3")
	require.NoError(t, err)
	require.Equal(t, uint16(tls.VersionTLS13), version)
	_, err = ParseVersion("1.1")
	require.Error(t, err)
}

// TestAuthoritiesRotate as they are rotated: both are trusted for a while. Nobody
// gets in with the old one's afterwards, not even by resuming a session.
func TestAuthoritiesRotate(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		before, after := certtest.Authority(t), certtest.Authority(t)
		server := certtest.New(t, before)
		volume, served := newBench().volume(t, certtest.Server(t, server, before), func(o *TLSOptions) { o.MinVersion = version })
		client := func(ca *certtest.Cert) *tls.Config {
			return &tls.Config{
				RootCAs: certtest.Pool(before), Certificates: []tls.Certificate{certtest.New(t, ca).TLS()},
				MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(10),
			}
		}
		old, fresh, config := client(before), client(after), served.Config()
		for _, step := range []struct {
			trusted    []*certtest.Cert
			old, fresh bool
		}{
			{[]*certtest.Cert{before}, true, false},
			{[]*certtest.Cert{before, after}, true, true},
			{[]*certtest.Cert{after}, false, true},
		} {
			volume.Swap(t, certtest.Server(t, server, step.trusted...))
			served.Check()
			for _, c := range []struct {
				config *tls.Config
				in     bool
			}{{old, step.old}, {fresh, step.fresh}} {
				for range 2 {
					state, err := meet(t, config, c.config)
					require.Equal(t, c.in, err == nil, "%v", err)
					require.False(t, state.DidResume)
				}
			}
		}
	}
}
