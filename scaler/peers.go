package scaler

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	grpcpeer "google.golang.org/grpc/peer"
)

// rpc is one of KEDA's calls.
type rpc int

const (
	rpcSpec rpc = iota
	rpcMetrics
	rpcActive
	rpcStreamActive
	rpcStreamSpec
	rpcs
)

var rpcNames = [rpcs]string{"GetMetricSpec", "GetMetrics", "IsActive", "StreamIsActive", "StreamMetricSpec"}

// Asked is how often, and when last, KEDA has asked in a way.
type Asked struct {
	RPC   string
	Count uint64
	Last  time.Time
}

// Peer is a client that has asked about a trigger: KEDA's operator, its metrics
// adapter, or another.
type Peer struct {
	Address netip.Addr
	Asked   // RPC is that of the last call
}

// maxPeers is enough for KEDA's operator and adapter with a replica each.
const maxPeers = 4

// calls are KEDA's calls about a trigger.
type calls struct {
	mu    sync.Mutex // guards what follows; nothing is locked after it
	last  time.Time
	byRPC [rpcs]Asked
	peers []Peer // the one that asked last comes last; maxPeers at most
}

// note counts a call. from is not valid if the caller has no address.
func (c *calls) note(from netip.Addr, by rpc, at time.Time) {
	at = at.Truncate(time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = at
	c.byRPC[by] = Asked{rpcNames[by], c.byRPC[by].Count + 1, at}
	if !from.IsValid() {
		return
	}
	p := Peer{Address: from}
	if i := slices.IndexFunc(c.peers, func(p Peer) bool { return p.Address == from }); i >= 0 {
		p = c.peers[i]
		c.peers = slices.Delete(c.peers, i, i+1)
	}
	p.Asked = Asked{rpcNames[by], p.Count + 1, at}
	c.peers = push(c.peers, p, maxPeers)
}

// asks notes a call, and the metadata that came with it. It reports whether the
// metadata has changed.
func (st *state) asks(from netip.Addr, by rpc, at time.Time, t *Metadata) (edited bool) {
	st.calls.note(from, by, at)
	if st.trigger.Load().same(t) {
		return false
	}
	st.trigger.Store(t)
	return true
}

// askedAt returns when the trigger was asked about last.
func (st *state) askedAt() time.Time {
	st.calls.mu.Lock()
	defer st.calls.mu.Unlock()
	return st.calls.last
}

// asker is the caller's address; not valid if it has none.
func asker(ctx context.Context) netip.Addr {
	if p, ok := grpcpeer.FromContext(ctx); ok {
		if tcp, ok := p.Addr.(*net.TCPAddr); ok {
			return tcp.AddrPort().Addr().Unmap()
		}
	}
	return netip.Addr{}
}
