package stage

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity is for a stage, which nobody keeps for a day.
const validity = 24 * time.Hour

// authority signs every certificate of a stage, for servers and clients alike.
type authority struct {
	dir         string // of <name>/tls.crt, tls.key and ca.crt, the names of a Secret's keys
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

// identity is a certificate and its key, and the files they are in.
type identity struct {
	dir       string
	cert, key []byte // PEM
}

func (i identity) certFile() string { return filepath.Join(i.dir, "tls.crt") }
func (i identity) keyFile() string  { return filepath.Join(i.dir, "tls.key") }
func (i identity) caFile() string   { return filepath.Join(i.dir, "ca.crt") }

func (i identity) tls() (tls.Certificate, error) { return tls.X509KeyPair(i.cert, i.key) }

func newAuthority(dir string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := template("stage-ca")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{dir: dir, certificate: certificate, key: key, pem: encode("CERTIFICATE", der)}, nil
}

// issue signs a certificate good for both sides of a connection. hosts are the
// names and addresses a server has, groups what the API server takes a client
// to be a member of.
func (a *authority) issue(name string, groups []string, hosts ...string) (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	template := template(name)
	template.Subject.Organization = groups
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return identity{}, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return identity{}, err
	}
	i := identity{dir: filepath.Join(a.dir, name), cert: encode("CERTIFICATE", der), key: encode("PRIVATE KEY", pkcs8)}
	if err := os.MkdirAll(i.dir, 0o700); err != nil {
		return i, err
	}
	for file, content := range map[string][]byte{i.certFile(): i.cert, i.keyFile(): i.key, i.caFile(): a.pem} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return i, err
		}
	}
	return i, nil
}

// bundle is the authority as API objects want it.
func (a *authority) bundle() string { return base64.StdEncoding.EncodeToString(a.pem) }

// kubeconfig writes a file that says how to reach the API server, with user
// being who asks, as one line of flow YAML.
func (a *authority) kubeconfig(name, user string) (string, error) {
	file := filepath.Join(a.dir, name+".kubeconfig")
	return file, os.WriteFile(file, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- {name: stage, cluster: {server: %q, certificate-authority-data: %s}}
users:
- {name: user, user: %s}
contexts:
- {name: stage, context: {cluster: stage, user: user}}
current-context: stage
`, apiServerURL, a.bundle(), user), 0o600)
}

// withCertificate is the user of a kubeconfig who is known by a certificate.
func withCertificate(i identity) string {
	return fmt.Sprintf("{client-certificate: %s, client-key: %s}", i.certFile(), i.keyFile())
}

// withToken is the user of a kubeconfig who is known by a token.
func withToken(token string) string { return fmt.Sprintf("{token: %q}", token) }

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // never fails
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(validity),
	}
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
