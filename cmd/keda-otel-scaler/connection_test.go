package main

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/access"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/certtest"
	inspectv1 "github.com/keda-otel-scaler/keda-otel-scaler/proto/inspect/v1"
)

// TestAServerWithGates asks one that wants TLS, a certificate and a token.
func TestAServerWithGates(t *testing.T) {
	ca := certtest.Authority(t)
	files := certtest.Server(t, certtest.New(t, ca), ca)
	files["token"] = []byte("0123456789abcdef\n")
	files["wrong-token"] = []byte("fedcba9876543210\n")
	known := certtest.New(t, ca)
	files["client.crt"], files["client.key"] = known.PEM(), known.KeyPEM(t)
	v := certtest.NewVolume(t, files)
	served, err := access.NewTLS(access.TLSOptions{CertFile: v.Path(certtest.CertFile), KeyFile: v.Path(certtest.KeyFile), ClientCAFile: v.Path(certtest.CAFile), NextProtos: []string{"h2"}})
	require.NoError(t, err)
	tokens, err := access.NewTokens(access.TokensOptions{File: v.Path("token")})
	require.NoError(t, err)

	mux := http.NewServeMux()
	mux.Handle(inspectv1.NewInspectServiceHandler(canned{list: []*inspectv1.ScaledObjectSummary{{Namespace: "default", Name: "busy", Triggers: []*inspectv1.TriggerSummary{{Target: 4}}}}}))
	mux.HandleFunc("/api/v1/query", func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("asked over %s", r.Proto)
		}
		_, _ = io.WriteString(w, `{"data":{"resultType":"scalar","result":[1,"7"]}}`)
	})
	server := httptest.NewUnstartedServer(tokens.Guard(mux, nil))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2, server.TLS = true, served.Config()
	server.StartTLS()
	defer server.Close()

	authority, token := "--ca-file="+v.Path(certtest.CAFile), "--token-file="+v.Path("token")
	certificate := []string{"--cert-file=" + v.Path("client.crt"), "--key-file=" + v.Path("client.key")}
	with := func(more ...string) []string { return append(more, certificate...) }
	for command, answer := range map[string]string{"query": "7\n", "explain": "default/busy"} {
		for _, tc := range []struct {
			name  string
			flags []string
			err   string // or the answer
		}{
			{"all it wants", with(authority, token), ""},
			{"any server", with("--insecure-skip-verify", token), ""},
			{"a server nobody vouches for", with(token), "certificate signed by unknown authority; --ca-file says whom to trust"},
			{"no certificate", []string{authority, token}, "; --server says where to ask"},
			{"no token", with(authority), " wants a token it knows; --token-file says which"},
			{"another token", with(authority, "--token-file="+v.Path("wrong-token")), " wants a token it knows; --token-file says which"},
			{"no file of tokens", with(authority, "--token-file=/nowhere"), "--token-file: open /nowhere: no such file or directory"},
			{"half a certificate", []string{authority, token, certificate[0]}, "--cert-file and --key-file: want both or neither, for example --cert-file=tls.crt --key-file=tls.key"},
			{"a certificate and another's key", []string{certificate[0], "--key-file=" + v.Path(certtest.KeyFile)}, "private key does not match public key"},
			{"no authority", []string{"--ca-file=/nowhere"}, "--ca-file: open /nowhere: no such file or directory"},
			{"an authority that is none", []string{"--ca-file=" + v.Path("token")}, "has no certificate in PEM"},
			{"a choice", []string{authority, "--insecure-skip-verify"}, "has no effect with --insecure-skip-verify; leave out one of them"},
			{"TLS without TLS", []string{authority, "--server=http://localhost:1"}, "--server=http://localhost:1: want an https URL with the flags or variables for TLS, for example --server=https://localhost:9090"},
		} {
			t.Run(command+" "+tc.name, func(t *testing.T) {
				args := []string{command, "--server=" + server.URL}
				if command == "query" {
					args = append(args, "x")
				}
				var stdout, stderr bytes.Buffer
				code := run(t.Context(), append(args, tc.flags...), &stdout, &stderr)
				if tc.err != "" {
					require.Equal(t, 1, code)
					require.Contains(t, stderr.String(), tc.err)
					return
				}
				require.Equal(t, 0, code, stderr.String())
				require.Contains(t, stdout.String(), answer)
			})
		}
	}
}

// TestServerByVariables has all that reaches a server in variables, and a flag
// that counts more.
func TestServerByVariables(t *testing.T) {
	variables := map[string]string{
		"KEDA_OTEL_SCALER_SERVER": "https://a", "KEDA_OTEL_SCALER_CA_FILE": "b", "KEDA_OTEL_SCALER_CERT_FILE": "c",
		"KEDA_OTEL_SCALER_KEY_FILE": "d", "KEDA_OTEL_SCALER_TOKEN_FILE": "e", "KEDA_OTEL_SCALER_INSECURE_SKIP_VERIFY": "true",
	}
	var c connection
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.bind(f, func(name string) (string, bool) { v, ok := variables[name]; return v, ok }, "")
	require.Equal(t, connection{server: "https://a", caFile: "b", certFile: "c", keyFile: "d", tokenFile: "e"}, c)
	require.NoError(t, f.Parse([]string{"--ca-file=f", "--insecure-skip-verify"}))
	require.Equal(t, connection{server: "https://a", caFile: "f", certFile: "c", keyFile: "d", tokenFile: "e", insecure: true}, c)
}

// TestATokenGoesNowhereElse: not to where the server says there is more.
func TestATokenGoesNowhereElse(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was followed") }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	v := certtest.NewVolume(t, map[string][]byte{"token": []byte("0123456789abcdef")})
	var stdout, stderr bytes.Buffer
	require.Equal(t, 1, run(t.Context(), []string{"query", "--server=" + server.URL, "--token-file=" + v.Path("token"), "x"}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "307 Temporary Redirect")
}
