package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/access"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/config"
	"github.com/keda-otel-scaler/keda-otel-scaler/otlpreceiver"
)

// gates say who may talk to which listener. One that is nil stands open.
type gates struct {
	otlp, otlpHTTP, keda, http, admission *access.TLS
	otlpTokens, httpTokens                *access.Tokens
	otlpByCertificate                     bool // a sender of OTLP needs a certificate
	httpByCertificate                     bool // so does who asks over HTTP

	all []gate
}

// gate is what both kinds have in common.
type gate interface {
	Run(context.Context) error
	Problem() string
}

func newGates(cfg config.Config, logger *slog.Logger, registry prometheus.Registerer) (*gates, error) {
	g := &gates{
		otlpByCertificate: cfg.OTLPGRPCTLS.ClientCAFile != "" || cfg.OTLPHTTPTLS.ClientCAFile != "",
		httpByCertificate: cfg.HTTPTLS.ClientCAFile != "",
	}
	files := access.Files{Interval: cfg.TLSReloadInterval, Logger: logger, Registerer: registry}
	grpc, http := []string{"h2"}, []string{"h2", "http/1.1"}
	for _, l := range []struct {
		listener, flag string
		tls            config.TLS
		protocols      []string
		to             **access.TLS
	}{
		{"otlp-grpc", "otlp-grpc-tls-cert-file", cfg.OTLPGRPCTLS, grpc, &g.otlp},
		{"otlp-http", "otlp-http-tls-cert-file", cfg.OTLPHTTPTLS, http, &g.otlpHTTP},
		{"keda-grpc", "keda-tls-cert-file", cfg.KEDATLS, grpc, &g.keda},
		{"http", "http-tls-cert-file", cfg.HTTPTLS, http, &g.http},
		{"admission", "admission-tls-cert-file", cfg.AdmissionTLS, http, &g.admission},
	} {
		if l.tls.CertFile == "" {
			continue
		}
		version, err := access.ParseVersion(l.tls.MinVersion)
		if err == nil {
			*l.to, err = access.NewTLS(access.TLSOptions{
				Files: files, Listener: l.listener, NextProtos: l.protocols, MinVersion: version,
				CertFile: l.tls.CertFile, KeyFile: l.tls.KeyFile, ClientCAFile: l.tls.ClientCAFile,
			})
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", cfg.Setting(l.flag, l.tls.CertFile), err)
		}
		g.all = append(g.all, *l.to)
		logger.Info("serving TLS", "server", l.listener, "version", l.tls.MinVersion, "clients need a certificate", l.tls.ClientCAFile != "", "until", (*l.to).NotAfter())
	}
	for _, l := range []struct {
		listener, flag, file string
		to                   **access.Tokens
	}{
		{"otlp", "otlp-token-file", cfg.OTLPTokenFile, &g.otlpTokens},
		{"http", "http-token-file", cfg.HTTPTokenFile, &g.httpTokens},
	} {
		if l.file == "" {
			continue
		}
		var err error
		if *l.to, err = access.NewTokens(access.TokensOptions{Files: files, Listener: l.listener, File: l.file}); err != nil {
			return nil, fmt.Errorf("%s: %w", cfg.Setting(l.flag, l.file), err)
		}
		g.all = append(g.all, *l.to)
	}
	return g, nil
}

// run looks after the files until ctx is done.
func (g *gates) run(ctx context.Context, group *errgroup.Group) {
	for _, gate := range g.all {
		group.Go(func() error { return gate.Run(ctx) })
	}
}

// problems are what is wrong with the files, one a line.
func (g *gates) problems() string {
	var lines strings.Builder
	for _, gate := range g.all {
		if problem := gate.Problem(); problem != "" {
			lines.WriteString(problem + "\n")
		}
	}
	return lines.String()
}

var unauthenticated = otlpreceiver.Refusal(http.StatusUnauthorized, access.Unauthenticated)

// guardOTLP lets in who has one of OTLP's tokens.
func (g *gates) guardOTLP(otlp http.Handler) http.Handler {
	if g.otlpTokens == nil {
		return otlp
	}
	return g.otlpTokens.Guard(otlp, unauthenticated)
}

// guardOTLPOnHTTP is guardOTLP for the HTTP server, which must not be a way
// around the gates of the servers that are there for OTLP.
func (g *gates) guardOTLPOnHTTP(otlp http.Handler) http.Handler {
	switch {
	case g.otlpByCertificate && !g.httpByCertificate:
		return otlpreceiver.Refusal(http.StatusForbidden, "OTLP needs a client certificate, which this server does not ask for; send it to the server for OTLP, or set --http-tls-client-ca-file")
	case g.otlpTokens == nil && g.httpTokens != nil:
		return g.httpTokens.Guard(otlp, unauthenticated)
	}
	return g.guardOTLP(otlp)
}

// guardHTTP lets in who has one of the HTTP server's tokens.
func (g *gates) guardHTTP(handler http.Handler) http.Handler {
	if g.httpTokens == nil {
		return handler
	}
	return g.httpTokens.Guard(handler, nil)
}
