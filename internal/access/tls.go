package access

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// leastRSA is the least size of a client's RSA key, in bits. Go refuses SHA-1
// and keys below 1024 by itself.
const leastRSA = 2048

// ErrWeakKey is why a client's certificate is refused that is otherwise right.
var ErrWeakKey = fmt.Errorf("the certificate, or one above it, has an RSA key of less than %d bits", leastRSA)

// TLSOptions say what a listener's TLS is made of. CertFile and KeyFile are
// required.
type TLSOptions struct {
	Files
	Listener string // label of the metrics, and who is meant in the log

	CertFile, KeyFile string   // PEM; the certificate first, then those between it and the authority's
	ClientCAFile      string   // PEM; with it, clients need a certificate of one of these authorities
	MinVersion        uint16   // tls.VersionTLS12 or tls.VersionTLS13 (which it is)
	NextProtos        []string // for ALPN, such as "h2"
}

// TLS is a listener's certificate and client authorities, as they last could be
// used. Its methods may be called concurrently.
type TLS struct {
	options TLSOptions
	files   *watched[loaded]
	ended   atomic.Bool // the log has it that the certificate in use ended

	failures prometheus.Counter
	warned   atomic.Int64 // when a failed handshake was last logged, in ns
}

// loaded is what the files of one moment make.
type loaded struct {
	config   *tls.Config
	notAfter time.Time
}

// NewTLS reads the files, and fails if a server could not begin with them.
func NewTLS(o TLSOptions) (*TLS, error) {
	o.defaults()
	if o.MinVersion == 0 {
		o.MinVersion = tls.VersionTLS13
	}
	label := prometheus.Labels{"listener": o.Listener}
	t := &TLS{options: o, failures: prometheus.NewCounter(prometheus.CounterOpts{
		Name:        "keda_otel_scaler_tls_handshake_failures_total",
		Help:        "Connections on which a listener and its peer found no common TLS, or the peer's certificate would not do.",
		ConstLabels: label,
	})}
	var err error
	paths := []string{o.CertFile, o.KeyFile, o.ClientCAFile}
	if t.files, err = newWatched(o.Files, "tls", o.Listener, "the TLS of "+o.Listener, paths, t.load); err != nil {
		return nil, err
	}
	return t, register(o.Registerer, t.failures, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "keda_otel_scaler_tls_certificate_expiry_timestamp_seconds",
		Help:        "When the certificate that a listener shows ends, in seconds since 1970.",
		ConstLabels: label,
	}, func() float64 { return float64(t.NotAfter().Unix()) }))
}

// Config is for a server to listen with. It need not be asked for again: each
// handshake gets what is in use then, and no connection is dropped.
func (t *TLS) Config() *tls.Config {
	config := t.base()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.files.current.Load().config, nil }
	return config
}

func (t *TLS) base() *tls.Config {
	return &tls.Config{ //nolint:gosec // the version is Validate's, 1.2 at least
		MinVersion: t.options.MinVersion,
		NextProtos: t.options.NextProtos,
		Time:       t.options.Now,
		// A resumed session would be judged by the authorities of the day it
		// began. Peers keep their connections, so there is nothing to gain.
		SessionTicketsDisabled: true,
	}
}

// NotAfter is when the certificate in use ends.
func (t *TLS) NotAfter() time.Time { return t.files.current.Load().notAfter }

// Problem says in a sentence what is wrong with the files or the certificate in
// use, or nothing.
func (t *TLS) Problem() string {
	problem := t.files.problem()
	if notAfter := t.NotAfter(); t.options.Now().After(notAfter) {
		if problem != "" {
			problem += "; "
		}
		problem += "the certificate that " + t.options.Listener + " shows ended at " + notAfter.UTC().Format(time.RFC3339)
	}
	return problem
}

// Run looks at the files once an interval, until ctx is done.
func (t *TLS) Run(ctx context.Context) error { return t.files.run(ctx, t.check) }

// Check looks at the files now.
func (t *TLS) Check() { _ = t.check() } // Run looks again by itself

func (t *TLS) check() error {
	err := t.files.check()
	notAfter := t.NotAfter()
	ended := t.options.Now().After(notAfter)
	if t.ended.Swap(ended) != ended && ended {
		t.options.Logger.Error("the certificate in use has ended", "listener", t.options.Listener, "at", notAfter)
	}
	return err
}

// load makes a configuration out of the files, if a server could use it now.
func (t *TLS) load(contents [][]byte, now time.Time) (loaded, error) {
	o := &t.options
	chain, err := certificates(o.CertFile, contents[0])
	if err != nil {
		return loaded{}, err
	}
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return loaded{}, fmt.Errorf("%s and %s: %w", o.CertFile, o.KeyFile, err)
	}
	leaf := chain[0]
	if err := inTime(leaf, now); err != nil {
		return loaded{}, fmt.Errorf("%s: %w", o.CertFile, err)
	}
	config := t.base()
	config.Certificates = []tls.Certificate{pair}
	if o.ClientCAFile != "" {
		authorities, err := certificates(o.ClientCAFile, contents[2])
		if err != nil {
			return loaded{}, err
		}
		if !slices.ContainsFunc(authorities, func(c *x509.Certificate) bool { return inTime(c, now) == nil }) {
			return loaded{}, fmt.Errorf("%s: no certificate in it is valid now", o.ClientCAFile)
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
		config.ClientCAs = x509.NewCertPool()
		for _, c := range authorities {
			config.ClientCAs.AddCert(c)
		}
		config.VerifyConnection = refuseWeak
	}
	return loaded{config, leaf.NotAfter}, nil
}

func inTime(c *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(c.NotBefore):
		return fmt.Errorf("the certificate is not valid before %s", c.NotBefore.UTC().Format(time.RFC3339))
	case now.After(c.NotAfter):
		return fmt.Errorf("the certificate ended at %s", c.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// certificates returns those of a file, at least one. Unlike crypto/tls it does
// not pass over what it can't read: that is a file being written.
func certificates(path string, text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	blocks := 0
	for rest := text; ; blocks++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", path, len(all)+1, err)
		}
		all = append(all, c)
	}
	switch {
	case bytes.Count(text, []byte("-----BEGIN ")) != blocks:
		return nil, fmt.Errorf("%s: not all of it is PEM; it may be half-written", path)
	case len(all) == 0:
		return nil, fmt.Errorf("%s has no certificate; want PEM, which begins with -----BEGIN CERTIFICATE-----", path)
	}
	return all, nil
}

// refuseWeak looks at each way from a client's certificate to an authority: one
// without a weak key is enough.
func refuseWeak(state tls.ConnectionState) error {
	for _, chain := range state.VerifiedChains {
		if !slices.ContainsFunc(chain, weak) {
			return nil
		}
	}
	return ErrWeakKey
}

func weak(c *x509.Certificate) bool {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	return ok && key.N.BitLen() < leastRSA
}

// ParseVersion returns crypto/tls' number of a version written as 1.2 or 1.3.
func ParseVersion(text string) (uint16, error) {
	switch text {
	case "1.2":
		return tls.VersionTLS12, nil
	case "1.3":
		return tls.VersionTLS13, nil
	}
	return 0, errors.New("want 1.2 or 1.3")
}
