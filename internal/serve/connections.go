package serve

import (
	"errors"
	"net"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// otherConnections is how many peers a listener has that is not for OTLP: KEDA
// has a few, and so has who looks at metrics.
const otherConnections = 1024

// errNoMemory ends a connection whose bytes there is no memory for.
var errNoMemory = errors.New("too little memory is left to read a request (GOMEMLIMIT)")

// connections count what is open at the listeners, and what was not let stay.
type connections struct {
	open    *prometheus.GaugeVec
	refused *prometheus.CounterVec
}

func newConnections(registerer prometheus.Registerer) *connections {
	c := &connections{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "keda_otel_scaler_connections", Help: "Connections that are open.",
		}, []string{"listener"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keda_otel_scaler_connections_refused_total",
			Help: "Connections that were closed because there were too many (limit), or too little memory (memory).",
		}, []string{"listener", "reason"}),
	}
	registerer.MustRegister(c.open, c.refused)
	return c
}

// bounded is a listener with so many connections at a time. What comes beyond is
// taken as well, and closed at once: in the kernel's queue it would wait for as
// long as the others stay, and its peer would not know.
type bounded struct {
	net.Listener
	most  int64
	tight func() bool // no new connections
	cut   func() bool // no bytes of those there are
	read  func(n int) // counts bytes that were read

	open      atomic.Int64
	gauge     prometheus.Gauge
	tooMany   prometheus.Counter
	outOfRoom prometheus.Counter
}

// bound bounds a listener. The functions may be nil.
func (c *connections) bound(l net.Listener, name string, most int, tight, cut func() bool, read func(n int)) *bounded {
	return &bounded{
		Listener: l, most: int64(most), tight: tight, cut: cut, read: read,
		gauge:     c.open.WithLabelValues(name),
		tooMany:   c.refused.WithLabelValues(name, "limit"),
		outOfRoom: c.refused.WithLabelValues(name, "memory"),
	}
}

// Accept implements net.Listener.
func (l *bounded) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		refused := l.tooMany
		switch {
		case l.tight != nil && l.tight():
			refused = l.outOfRoom
		case l.open.Add(1) <= l.most:
			l.gauge.Inc()
			return &counted{Conn: c, of: l}, nil
		default:
			l.open.Add(-1)
		}
		refused.Inc()
		_ = c.Close() // the peer's loss
	}
}

// counted is a connection of a bounded listener.
type counted struct {
	net.Conn
	of     *bounded
	closed atomic.Bool
}

// Read implements net.Conn. gRPC reads what comes, whoever waits for it: without
// this, messages that never end take all the memory there is.
func (c *counted) Read(p []byte) (int, error) {
	if c.of.cut != nil && c.of.cut() {
		c.of.outOfRoom.Inc()
		return 0, errNoMemory
	}
	n, err := c.Conn.Read(p)
	if c.of.read != nil {
		c.of.read(n)
	}
	return n, err
}

// Close implements net.Conn. Servers close more than once.
func (c *counted) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.of.open.Add(-1)
		c.of.gauge.Dec()
	}
	return c.Conn.Close()
}

// CloseWrite is what net/http asks a connection for, so that a peer which still
// sends reads its answer before it finds the connection gone.
func (c *counted) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
