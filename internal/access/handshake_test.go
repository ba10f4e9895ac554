package access

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/certtest"
)

func TestFailedHandshakesAreLoggedNowAndThen(t *testing.T) {
	b := newBench()
	_, served := b.volume(t, certtest.Server(t, certtest.New(t, nil)))
	served.Failed("1.2.3.4:5", "EOF") // a probe
	require.Empty(t, b.logged())
	for range 3 {
		served.Failed("1.2.3.4:5", "unknown authority")
	}
	require.Regexp(t, `^[^\n]*level=WARN msg="a TLS handshake failed" listener=x peer=1.2.3.4:5 error="unknown authority"\n$`, b.logged())
	b.now = b.now.Add(warnInterval)
	served.Failed("1.2.3.4:5", "again")
	require.Contains(t, b.logged(), "again")
	b.now = b.now.Add(warnInterval - time.Nanosecond)
	served.Failed("1.2.3.4:5", "again")
	require.Empty(t, b.logged())
	require.Equal(t, 5.0, b.metric(t, "keda_otel_scaler_tls_handshake_failures_total", ""))
}
