package config

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// leastReload keeps a mistaken interval from being all that the program does.
const leastReload = 10 * time.Millisecond

// TLS is a listener's. Without a certificate it is plaintext.
type TLS struct {
	CertFile     string // PEM, the certificate first
	KeyFile      string // PEM
	ClientCAFile string // PEM; with it, peers need a certificate of one of these authorities
	MinVersion   string // "1.2" or "1.3"
}

// tlsListener is a listener that may serve TLS, by the first part of its flags.
type tlsListener struct {
	flag, what string
	tls        *TLS
}

func (l tlsListener) cert() string     { return l.flag + "-tls-cert-file" }
func (l tlsListener) key() string      { return l.flag + "-tls-key-file" }
func (l tlsListener) clientCA() string { return l.flag + "-tls-client-ca-file" }
func (l tlsListener) version() string  { return l.flag + "-tls-min-version" }

func (c *Config) tlsListeners() []tlsListener {
	return []tlsListener{
		{"otlp-grpc", "OTLP over gRPC", &c.OTLPGRPCTLS},
		{"otlp-http", "OTLP over HTTP", &c.OTLPHTTPTLS},
		{"keda", "KEDA's gRPC", &c.KEDATLS},
		{"http", "the HTTP server", &c.HTTPTLS},
		{"admission", "the admission webhook", &c.AdmissionTLS},
	}
}

func (c *Config) bindAccess(f *pflag.FlagSet) {
	for _, l := range c.tlsListeners() {
		f.StringVar(&l.tls.CertFile, l.cert(), "", "PEM `file` with the certificate of "+l.what+"; none is plaintext")
		f.StringVar(&l.tls.KeyFile, l.key(), "", "PEM `file` with its key")
		f.StringVar(&l.tls.ClientCAFile, l.clientCA(), "", "PEM `file` with the authorities of its clients' certificates; none asks for no certificate")
		f.StringVar(&l.tls.MinVersion, l.version(), "1.3", "least TLS `version` of it: 1.2 or 1.3")
	}
	f.StringVar(&c.OTLPTokenFile, "otlp-token-file", "", "`file` with the bearer tokens, one a line; a sender of OTLP needs one of them")
	f.StringVar(&c.HTTPTokenFile, "http-token-file", "", "`file` with the bearer tokens, one a line; a client of the HTTP server needs one of them")
	f.DurationVar(&c.TLSReloadInterval, "tls-reload-interval", 10*time.Second, "how often the files of certificates, authorities and tokens are looked at")
}

func (c *Config) validateAccess() error {
	for _, l := range c.tlsListeners() {
		version, versionSet := c.origins[l.version()]
		switch {
		case l.tls.MinVersion != "1.2" && l.tls.MinVersion != "1.3":
			return c.refuse(l.version(), l.tls.MinVersion, "want 1.2 or 1.3")
		case l.tls.CertFile != "" && l.tls.KeyFile == "":
			return c.lacks(l.cert(), l.tls.CertFile, "has no key", l.key())
		case l.tls.CertFile == "" && l.tls.KeyFile != "":
			return c.lacks(l.key(), l.tls.KeyFile, "is the key of no certificate", l.cert())
		case l.tls.CertFile == "" && l.tls.ClientCAFile != "":
			return c.lacks(l.clientCA(), l.tls.ClientCAFile, "can't ask clients for certificates without one of its own", l.cert())
		case l.tls.CertFile == "" && versionSet:
			return c.lacks(l.version(), version.value, "has no effect without a certificate", l.cert())
		}
	}
	if c.AdmissionAddress != "" && c.AdmissionTLS.CertFile == "" {
		return c.lacks("admission-address", c.AdmissionAddress, "the API server asks over TLS only", "admission-tls-cert-file")
	}
	if c.TLSReloadInterval < leastReload {
		return c.refuse("tls-reload-interval", c.TLSReloadInterval, "want at least "+leastReload.String())
	}
	return nil
}

// lacks is the error for a setting that needs another.
func (c *Config) lacks(flag, value, why, other string) error {
	return fmt.Errorf("%s: %s; add --%s, for example --%s=%s", c.Setting(flag, value), why, other, other, examples[other])
}

// accessNotes are for the log: what works as it was set, and may not be what was
// meant.
func (c *Config) accessNotes() (notes []string) {
	for _, l := range []struct {
		flag, file string
		listeners  []tlsListener
	}{
		{"otlp-token-file", c.OTLPTokenFile, c.tlsListeners()[:2]},
		{"http-token-file", c.HTTPTokenFile, c.tlsListeners()[3:4]},
	} {
		for _, listener := range l.listeners {
			if l.file != "" && listener.tls.CertFile == "" {
				notes = append(notes, fmt.Sprintf("%s: the tokens cross the network in the clear unless something else encrypts %s; --%s makes it TLS",
					c.Setting(l.flag, l.file), listener.what, listener.cert()))
			}
		}
	}
	grpc, http := c.tlsListeners()[0], c.tlsListeners()[1]
	for _, doors := range [][2]tlsListener{{grpc, http}, {http, grpc}} {
		closed, open := doors[0], doors[1]
		if closed.tls.ClientCAFile != "" && open.tls.ClientCAFile == "" && c.OTLPTokenFile == "" {
			notes = append(notes, fmt.Sprintf("%s guards one of two doors: %s takes metrics without a certificate; --%s closes it",
				c.Setting(closed.clientCA(), closed.tls.ClientCAFile), open.what, open.clientCA()))
		}
	}
	return notes
}
