// Package certtest makes certificates for tests, and puts them where a server
// looks for them as kubelet does. Nothing that ships imports it.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

var serials atomic.Int64

// Cert is a certificate with its key.
type Cert struct {
	*x509.Certificate
	Key crypto.Signer
}

// New makes a certificate for localhost, of a server and a client, signed by
// the parent, or by itself without one. It is valid for a year around now;
// change says what is otherwise.
func New(t testing.TB, parent *Cert, change ...func(template *x509.Certificate, key *crypto.Signer)) *Cert {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var key crypto.Signer = ec
	serial := serials.Add(1)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: fmt.Sprintf("test %d", serial)},
		NotBefore:    time.Now().Add(-183 * 24 * time.Hour),
		NotAfter:     time.Now().Add(183 * 24 * time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, f := range change {
		f(template, &key)
	}
	issuer, signer := template, key
	if parent != nil {
		issuer, signer = parent.Certificate, parent.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Cert{c, key}
}

// Authority makes one that signs others.
func Authority(t testing.TB) *Cert {
	t.Helper()
	return New(t, nil, func(c *x509.Certificate, _ *crypto.Signer) {
		c.BasicConstraintsValid, c.IsCA = true, true
		c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageCertSign, nil
	})
}

// PEM is the certificate as text.
func (c *Cert) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// KeyPEM is the key as text.
func (c *Cert) KeyPEM(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// TLS is the certificate as crypto/tls wants it.
func (c *Cert) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: c.Key}
}

// Pool trusts the given certificates.
func Pool(all ...*Cert) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range all {
		pool.AddCert(c.Certificate)
	}
	return pool
}

// The files of a volume, as cert-manager calls them.
const (
	CertFile = "tls.crt"
	KeyFile  = "tls.key"
	CAFile   = "ca.crt"
)

// Volume is a folder whose files kubelet writes: each is a link through
// "..data", which is swapped.
type Volume struct{ Dir string }

// NewVolume returns one with the given files.
func NewVolume(t testing.TB, files map[string][]byte) *Volume {
	t.Helper()
	v := &Volume{t.TempDir()}
	v.Swap(t, files)
	return v
}

// Path of a file.
func (v *Volume) Path(name string) string { return filepath.Join(v.Dir, name) }

// Has tells whether there is such a file.
func (v *Volume) Has(name string) bool {
	_, err := os.Stat(v.Path(name))
	return err == nil
}

// Swap replaces all files at one stroke.
func (v *Volume) Swap(t testing.TB, files map[string][]byte) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	data := v.Path("..data")
	old, _ := os.Readlink(data) // there is none the first time
	fresh := v.Path(fmt.Sprintf("..2026_%d", serials.Add(1)))
	must(os.Mkdir(fresh, 0o700))
	for name, content := range files {
		must(os.WriteFile(filepath.Join(fresh, name), content, 0o600))
	}
	must(os.Symlink(filepath.Base(fresh), data+"_tmp"))
	must(os.Rename(data+"_tmp", data))
	for name := range files {
		if _, err := os.Lstat(v.Path(name)); err != nil {
			must(os.Symlink(filepath.Join("..data", name), v.Path(name)))
		}
	}
	if old != "" {
		must(os.RemoveAll(v.Path(old)))
	}
}

// Server is the files of a server with that certificate, whose clients' come
// from the given authorities.
func Server(t testing.TB, c *Cert, authorities ...*Cert) map[string][]byte {
	t.Helper()
	files := map[string][]byte{CertFile: c.PEM(), KeyFile: c.KeyPEM(t)}
	for _, a := range authorities {
		files[CAFile] = append(files[CAFile], a.PEM()...)
	}
	return files
}
