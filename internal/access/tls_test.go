package access

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/certtest"
)

const (
	reloads = "keda_otel_scaler_tls_reloads_total"
	good    = "keda_otel_scaler_tls_last_reload_successful"
	expiry  = "keda_otel_scaler_tls_certificate_expiry_timestamp_seconds"
)

// TestRotation swaps the volume under open and new connections.
func TestRotation(t *testing.T) {
	b := newBench()
	ca := certtest.Authority(t)
	first, second := certtest.New(t, ca), certtest.New(t, ca, func(c *x509.Certificate, _ *crypto.Signer) { c.NotAfter = c.NotAfter.Add(time.Hour) })
	volume, served := b.volume(t, certtest.Server(t, first))
	address, client := listen(t, served.Config()), &tls.Config{RootCAs: certtest.Pool(ca)}
	kept, err := dial(t, address, client)
	require.NoError(t, err)
	require.Equal(t, uint16(tls.VersionTLS13), kept.ConnectionState().Version)
	require.Equal(t, float64(first.NotAfter.Unix()), b.metric(t, expiry, ""))

	served.Check()
	require.Empty(t, b.logged(), "nothing has changed")
	volume.Swap(t, certtest.Server(t, second))
	require.Equal(t, first.SerialNumber.Int64(), shown(t, address, client))
	served.Check()
	require.Equal(t, second.SerialNumber.Int64(), shown(t, address, client))
	require.Equal(t, second.NotAfter, served.NotAfter())
	require.Equal(t, float64(second.NotAfter.Unix()), b.metric(t, expiry, ""))
	require.Equal(t, 1.0, b.metric(t, reloads, "success"))
	require.Contains(t, b.logged(), `level=INFO msg="the TLS of x read anew"`)

	_, err = io.WriteString(kept, "still here")
	require.NoError(t, err)
	require.NoError(t, echo(kept, "still here"))
	b.lint(t)
}

// TestRunLooksOnceAnInterval, and sooner after it has seen what may be half of
// something.
func TestRunLooksOnceAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.Interval = time.Minute
		files := certtest.Server(t, certtest.New(t, nil))
		volume, served := b.volume(t, files)
		go func() { _ = served.Run(t.Context()) }()
		half := map[string][]byte{certtest.CertFile: certtest.New(t, nil).PEM(), certtest.KeyFile: files[certtest.KeyFile]}
		whole := certtest.New(t, nil)

		volume.Swap(t, half)
		time.Sleep(time.Minute - time.Nanosecond)
		synctest.Wait()
		require.Empty(t, served.Problem())
		time.Sleep(2 * time.Nanosecond)
		volume.Swap(t, certtest.Server(t, whole))
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, whole.NotAfter, served.NotAfter(), "after a second, not another minute")
		require.Zero(t, b.metric(t, reloads, "failure"), "half of something is no fault yet")

		volume.Swap(t, half)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Empty(t, served.Problem())
		time.Sleep(time.Second)
		synctest.Wait()
		require.Contains(t, served.Problem(), "private key does not match")
	})
}

// TestABadCertificateKeepsTheOld: said once in the log, for as long as it is so
// in Problem, and counted.
func TestABadCertificateKeepsTheOld(t *testing.T) {
	ca := certtest.Authority(t)
	fresh := certtest.Server(t, certtest.New(t, ca), ca)
	with := func(name string, content []byte) map[string][]byte {
		files := map[string][]byte{certtest.CertFile: fresh[certtest.CertFile], certtest.KeyFile: fresh[certtest.KeyFile], certtest.CAFile: fresh[certtest.CAFile]}
		if files[name] = content; content == nil {
			delete(files, name)
		}
		return files
	}
	dated := func(from, to time.Duration) *certtest.Cert {
		return certtest.New(t, ca, func(c *x509.Certificate, _ *crypto.Signer) {
			c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to)
		})
	}
	half := fresh[certtest.CertFile][:200]
	behind := func(whole []byte) []byte { return append(slices.Clone(whole), half...) }
	for name, tc := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"no file":                  {with(certtest.CertFile, nil), "tls.crt: no such file or directory"},
		"an empty file":            {with(certtest.KeyFile, []byte("\n")), "tls.key is empty"},
		"a huge file":              {with(certtest.CAFile, make([]byte, maxFile+1)), "ca.crt has more than 1048576 bytes"},
		"no PEM":                   {with(certtest.CertFile, []byte("DER")), "tls.crt has no certificate; want PEM, which begins with -----BEGIN CERTIFICATE-----"},
		"no certificate in PEM":    {with(certtest.CertFile, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")), "tls.crt: certificate 1: x509: malformed certificate"},
		"half a certificate":       {with(certtest.CertFile, half), "tls.crt: not all of it is PEM; it may be half-written"},
		"half a chain":             {with(certtest.CertFile, behind(fresh[certtest.CertFile])), "tls.crt: not all of it is PEM; it may be half-written"},
		"another's key":            {with(certtest.KeyFile, certtest.New(t, ca).KeyPEM(t)), "tls.crt and "},
		"half a key":               {with(certtest.KeyFile, fresh[certtest.KeyFile][:100]), "failed to find any PEM data in key input"},
		"no authority":             {with(certtest.CAFile, []byte(" ")), "ca.crt is empty"},
		"half an authority":        {with(certtest.CAFile, behind(ca.PEM())), "ca.crt: not all of it is PEM"},
		"an authority that ended":  {with(certtest.CAFile, dated(-2*time.Hour, -time.Hour).PEM()), "ca.crt: no certificate in it is valid now"},
		"a certificate that ended": {certtest.Server(t, dated(-2*time.Hour, -time.Hour), ca), "tls.crt: the certificate ended at "},
		"one that is not yet":      {certtest.Server(t, dated(time.Hour, 2*time.Hour), ca), "tls.crt: the certificate is not valid before "},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench()
			old := certtest.New(t, ca)
			volume, served := b.volume(t, certtest.Server(t, old, ca))
			address := listen(t, served.Config())
			client := &tls.Config{RootCAs: certtest.Pool(ca), Certificates: []tls.Certificate{certtest.New(t, ca).TLS()}}

			volume.Swap(t, tc.files)
			served.Check()
			require.Empty(t, served.Problem(), "it may be half-written")
			for range 3 {
				served.Check()
				require.Contains(t, served.Problem(), "the TLS of x can't be used as it is now, so what was read before stays: ")
				require.Contains(t, served.Problem(), tc.want)
				require.Equal(t, old.SerialNumber.Int64(), shown(t, address, client))
			}
			require.Equal(t, 1.0, b.metric(t, reloads, "failure"))
			require.Zero(t, b.metric(t, good, ""))
			log := b.logged()
			require.Contains(t, log, `level=ERROR msg="the TLS of x can't be used as it is now, so what was read before stays" error=`)
			require.NotContains(t, log, "PRIVATE KEY")
			require.Regexp(t, `^[^\n]*\n$`, log, "once")

			volume.Swap(t, fresh)
			served.Check()
			require.Empty(t, served.Problem())
			require.NotEqual(t, old.SerialNumber.Int64(), shown(t, address, client))
			require.Equal(t, 1.0, b.metric(t, good, ""))
			require.Equal(t, 1.0, b.metric(t, reloads, "success"))

			volume.Swap(t, tc.files)
			options := served.options
			options.Registerer = prometheus.NewRegistry()
			_, err := NewTLS(options)
			require.ErrorContains(t, err, tc.want, "a start has nothing to keep")
		})
	}
}

func TestWhatWasBadAndGoesBackIsNoReload(t *testing.T) {
	b := newBench()
	files := certtest.Server(t, certtest.New(t, nil))
	volume, served := b.volume(t, files)
	volume.Swap(t, map[string][]byte{certtest.CertFile: nil, certtest.KeyFile: nil})
	served.Check()
	served.Check()
	require.NotEmpty(t, served.Problem())
	volume.Swap(t, files)
	served.Check()
	require.Empty(t, served.Problem())
	require.Zero(t, b.metric(t, reloads, "success"))
}

func TestACertificateIsTakenWhenItsTimeComes(t *testing.T) {
	b := newBench()
	volume, served := b.volume(t, certtest.Server(t, certtest.New(t, nil)))
	next := certtest.New(t, nil, func(c *x509.Certificate, _ *crypto.Signer) { c.NotBefore = b.now.Add(time.Hour) })
	volume.Swap(t, certtest.Server(t, next))
	served.Check()
	served.Check()
	require.Contains(t, served.Problem(), "is not valid before")
	b.now = b.now.Add(2 * time.Hour)
	served.Check()
	require.Empty(t, served.Problem(), "though no file has changed")
	require.Equal(t, next.NotAfter, served.NotAfter())
}

func TestACertificateThatEndsInUseIsToldOnce(t *testing.T) {
	b := newBench()
	cert := certtest.New(t, nil)
	volume, served := b.volume(t, certtest.Server(t, cert))
	b.now = cert.NotAfter.Add(time.Second)
	served.Check()
	served.Check()
	require.Regexp(t, `^[^\n]*level=ERROR msg="the certificate in use has ended" listener=x [^\n]*\n$`, b.logged())
	require.Equal(t, "the certificate that x shows ended at "+cert.NotAfter.UTC().Format(time.RFC3339), served.Problem())
	volume.Swap(t, certtest.Server(t, certtest.New(t, nil, func(c *x509.Certificate, _ *crypto.Signer) { c.NotAfter = b.now.Add(time.Hour) })))
	served.Check()
	require.Empty(t, served.Problem())
}
