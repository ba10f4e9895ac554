package serve

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/certtest"
)

// listenerFlags are the first parts of the flags of all listeners with TLS.
var listenerFlags = []string{"otlp-grpc", "otlp-http", "keda", "http"}

// tlsFlags serve a volume's certificate on the given listeners, to clients with
// certificates if the volume has authorities.
func tlsFlags(t *testing.T, v *certtest.Volume, listeners ...string) []string {
	t.Helper()
	flags := []string{"--tls-reload-interval=10ms"}
	for _, l := range listeners {
		flags = append(flags, "--"+l+"-tls-cert-file="+v.Path(certtest.CertFile), "--"+l+"-tls-key-file="+v.Path(certtest.KeyFile))
		if v.Has(certtest.CAFile) {
			flags = append(flags, "--"+l+"-tls-client-ca-file="+v.Path(certtest.CAFile))
		}
	}
	return flags
}

// client is the TLS of one that trusts the authorities and has the certificates.
func client(authorities []*certtest.Cert, certificates ...*certtest.Cert) *tls.Config {
	config := &tls.Config{RootCAs: certtest.Pool(authorities...)}
	for _, c := range certificates {
		config.Certificates = append(config.Certificates, c.TLS())
	}
	return config
}

func dialGRPCWithTLS(t *testing.T, address net.Addr, config *tls.Config, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address.String(), append(options, grpc.WithTransportCredentials(credentials.NewTLS(config)))...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// httpsClient speaks HTTP/2; kept says whether it keeps its connection.
func httpsClient(t *testing.T, config *tls.Config, kept bool) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableKeepAlives: !kept}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// answered is what came back.
type answered struct {
	code, http int // the status and HTTP's major version
	header     http.Header
	body       string
}

// send makes one request.
func send(ctx context.Context, c *http.Client, method, url string, body []byte, header ...string) (answered, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return answered{}, err
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := c.Do(request)
	if err != nil {
		return answered{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return answered{response.StatusCode, response.ProtoMajor, response.Header, string(text)}, err
}
