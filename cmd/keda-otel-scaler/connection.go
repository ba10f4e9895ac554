package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/spf13/pflag"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/access"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/config"
)

// connection is how a command reaches a running server.
type connection struct {
	server                               string
	caFile, certFile, keyFile, tokenFile string
	insecure                             bool
}

// byVariable says which flags have one. What is asked is for the command line,
// and so is --insecure-skip-verify, which nobody should leave behind in a shell.
var byVariable = "Where the server is, and the files to reach it with, may also be given by\n" +
	"variables: " + config.Variable("server") + " for --server, " + config.Variable("ca-file") + "\n" +
	"for --ca-file, and so on; a flag counts more."

// bind adds the flags.
func (c *connection) bind(f *pflag.FlagSet, lookupEnv func(string) (string, bool), server string) {
	for _, flag := range []struct {
		to                   *string
		name, standard, help string
	}{
		{&c.server, "server", "http://localhost:9090", server},
		{&c.caFile, "ca-file", "", "PEM `file` with the authorities of the server's certificate (the system's)"},
		{&c.certFile, "cert-file", "", "PEM `file` with a certificate to show to the server"},
		{&c.keyFile, "key-file", "", "PEM `file` with its key"},
		{&c.tokenFile, "token-file", "", "`file` whose first line is a bearer token to show to the server"},
	} {
		if value, ok := lookupEnv(config.Variable(flag.name)); ok {
			flag.standard = value
		}
		f.StringVar(flag.to, flag.name, flag.standard, flag.help)
	}
	f.BoolVar(&c.insecure, "insecure-skip-verify", false, "take any certificate of the server")
}

// open returns the server's URL and a client for it.
func (c *connection) open() (*url.URL, *http.Client, error) {
	server, err := url.Parse(c.server)
	if err != nil || server.Host == "" || server.Scheme != "http" && server.Scheme != "https" {
		return nil, nil, fmt.Errorf("--server=%s: want a URL, for example --server=http://localhost:9090", c.server)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if server.Scheme == "https" {
		transport.TLSClientConfig, err = c.tls()
	} else {
		err = c.refuseTLS()
	}
	if err != nil {
		return nil, nil, err
	}
	client := &http.Client{
		Transport: transport,
		// Where it leads is nobody to show a token or a certificate to.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if c.tokenFile != "" {
		token, err := access.FirstToken(c.tokenFile)
		if err != nil {
			return nil, nil, fmt.Errorf("--token-file: %w", err)
		}
		client.Transport = bearer{transport, "Bearer " + token}
	}
	return server, client, nil
}

func (c *connection) tls() (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: c.insecure} //nolint:gosec // as its user says
	switch {
	case c.insecure && c.caFile != "":
		return nil, fmt.Errorf("--ca-file=%s: has no effect with --insecure-skip-verify; leave out one of them", c.caFile)
	case (c.certFile == "") != (c.keyFile == ""):
		return nil, errors.New("--cert-file and --key-file: want both or neither, for example --cert-file=tls.crt --key-file=tls.key")
	case c.certFile != "":
		pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--cert-file=%s, --key-file=%s: %w", c.certFile, c.keyFile, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if c.caFile != "" {
		text, err := os.ReadFile(c.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca-file=%s: has no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----", c.caFile)
		}
	}
	return config, nil
}

// refuseTLS keeps somebody who wants TLS from going without.
func (c *connection) refuseTLS() error {
	if c.caFile+c.certFile+c.keyFile != "" || c.insecure {
		return fmt.Errorf("--server=%s: want an https URL with the flags or variables for TLS, for example --server=https://localhost:9090", c.server)
	}
	return nil
}

// failure says what to write so that the server is reached.
func (c *connection) failure(err error) error {
	var unverified *tls.CertificateVerificationError
	if errors.As(err, &unverified) {
		return fmt.Errorf("%w; --ca-file says whom to trust", err)
	}
	return fmt.Errorf("%w; --server says where to ask", err)
}

// bearer shows a token with every request.
type bearer struct {
	http.RoundTripper
	authorization string
}

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", b.authorization)
	return b.RoundTripper.RoundTrip(request)
}
