package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhatMayNotBeMeant is done, and said.
func TestWhatMayNotBeMeant(t *testing.T) {
	const grpc, http = "--otlp-grpc-tls-cert-file=/c --otlp-grpc-tls-key-file=/k ", "--otlp-http-tls-cert-file=/c --otlp-http-tls-key-file=/k "
	const grpcCA, httpCA = grpc + "--otlp-grpc-tls-client-ca-file=/ca ", http + "--otlp-http-tls-client-ca-file=/ca "
	for _, tc := range []struct {
		name, args string
		want       []string
	}{
		{"TLS", grpc + http, nil},
		{"client certificates for both", grpcCA + httpCA, nil},
		{"for one", grpcCA + http, []string{"--otlp-grpc-tls-client-ca-file=/ca guards one of two doors: OTLP over HTTP takes metrics without a certificate; --otlp-http-tls-client-ca-file closes it"}},
		{"for the other", httpCA, []string{"--otlp-http-tls-client-ca-file=/ca guards one of two doors: OTLP over gRPC takes metrics without a certificate; --otlp-grpc-tls-client-ca-file closes it"}},
		{"a token closes it", grpcCA + http + "--otlp-token-file=/t", nil},
		{"tokens in the clear", grpc + "--otlp-token-file=/t --http-token-file=/h", []string{
			"--otlp-token-file=/t: the tokens cross the network in the clear unless something else encrypts OTLP over HTTP; --otlp-http-tls-cert-file makes it TLS",
			"--http-token-file=/h: the tokens cross the network in the clear unless something else encrypts the HTTP server; --http-tls-cert-file makes it TLS",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, notes, err := load(t, nil, strings.Fields(tc.args)...)
			require.NoError(t, err)
			require.Equal(t, tc.want, notes)
		})
	}
}
