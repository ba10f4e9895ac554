package access

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/certtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is what a test of files has around them.
type bench struct {
	Files
	log      bytes.Buffer
	registry *prometheus.Registry
	now      time.Time
}

func newBench() *bench {
	b := &bench{registry: prometheus.NewRegistry(), now: time.Now()}
	b.Files = Files{
		Now:        func() time.Time { return b.now },
		Logger:     slog.New(slog.NewTextHandler(&b.log, nil)),
		Registerer: b.registry,
	}
	return b
}

// logged returns the log since it was last asked for.
func (b *bench) logged() string {
	defer b.log.Reset()
	return b.log.String()
}

// metric is the value of the one series of a name with that outcome, if any.
func (b *bench) metric(t *testing.T, name, outcome string) float64 {
	t.Helper()
	families, err := b.registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if outcome == "" || m.GetLabel()[1].GetValue() == outcome {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no %s{outcome=%q}", name, outcome)
	return 0
}

// lint finds what Prometheus' conventions are against.
func (b *bench) lint(t *testing.T) {
	t.Helper()
	problems, err := testutil.GatherAndLint(b.registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}

// volume is TLS from a volume's files.
func (b *bench) volume(t *testing.T, files map[string][]byte, change ...func(*TLSOptions)) (*certtest.Volume, *TLS) {
	t.Helper()
	v := certtest.NewVolume(t, files)
	o := TLSOptions{Files: b.Files, Listener: "x", CertFile: v.Path(certtest.CertFile), KeyFile: v.Path(certtest.KeyFile)}
	if files[certtest.CAFile] != nil {
		o.ClientCAFile = v.Path(certtest.CAFile)
	}
	for _, f := range change {
		f(&o)
	}
	served, err := NewTLS(o)
	require.NoError(t, err)
	return v, served
}

// listen serves connections that say "hello" and then what comes.
func listen(t *testing.T, config *tls.Config) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				if _, err := io.WriteString(conn, "hello"); err == nil {
					_, _ = io.Copy(conn, conn)
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// dial returns a connection on which the server has said hello: under TLS 1.3 a
// client believes to be connected before its certificate is looked at.
func dial(t *testing.T, address string, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	conn, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: 30 * time.Second}, Config: config}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*tls.Conn), echo(conn, "hello")
}

// echo expects text.
func echo(conn net.Conn, text string) error {
	got := make([]byte, len(text))
	_, err := io.ReadFull(conn, got)
	return err
}

// shown is the certificate that a new connection is shown.
func shown(t *testing.T, address string, config *tls.Config) int64 {
	t.Helper()
	conn, err := dial(t, address, config)
	require.NoError(t, err)
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}
