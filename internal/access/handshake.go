package access

import (
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
)

// warnInterval is the least time between two lines about failed handshakes: a
// peer without the right certificate comes again and again.
const warnInterval = 10 * time.Second

// Credentials is Config for a gRPC server, which would otherwise tell nobody
// why a peer can't connect.
func (t *TLS) Credentials() credentials.TransportCredentials {
	return &told{credentials.NewTLS(t.Config()), t}
}

// told are credentials whose failures are told to a TLS.
type told struct {
	credentials.TransportCredentials
	tls *TLS
}

// ServerHandshake implements credentials.TransportCredentials.
func (c *told) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		c.tls.Failed(raw.RemoteAddr().String(), err.Error())
	}
	return conn, info, err
}

// Clone implements credentials.TransportCredentials.
func (c *told) Clone() credentials.TransportCredentials {
	return &told{c.TransportCredentials.Clone(), c.tls}
}

// Failed counts a handshake that failed, and logs it unless one was logged
// lately. A peer that only connects, as probes do, is no failure.
func (t *TLS) Failed(peer, reason string) {
	if reason == "EOF" {
		return
	}
	t.failures.Inc()
	if every(&t.warned, warnInterval, t.options.Now()) {
		t.options.Logger.Warn("a TLS handshake failed", "listener", t.options.Listener, "peer", peer, "error", reason)
	}
}

// every is true once an interval. last is in ns.
func every(last *atomic.Int64, interval time.Duration, now time.Time) bool {
	before := last.Load()
	return (before == 0 || now.UnixNano()-before >= int64(interval)) && last.CompareAndSwap(before, now.UnixNano())
}
