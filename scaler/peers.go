package scaler

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	grpcpeer "google.golang.org/grpc/peer"
)

// Peer is somebody who has asked about a trigger: KEDA's operator, its metrics
// adapter, or a stranger.
type Peer struct {
	Address netip.Addr
	Count   uint64
	RPC     string // of the last question
	Last    time.Time
}

// maxPeers is enough for KEDA's operator and adapter with a replica each.
const maxPeers = 4

// peers are those who asked last. Of more than there is room for, the one that
// asked longest ago goes. Every poll writes here, so it takes no lock and, from
// those who have a place, no memory.
type peers [maxPeers]atomic.Pointer[peer]

// peer counts one's questions.
type peer struct {
	address netip.Addr
	count   atomic.Uint64
	last    atomic.Int64 // ms
	by      atomic.Int32
}

func (p *peer) note(by rpc, at time.Time) {
	p.count.Add(1)
	p.by.Store(int32(by)) //nolint:gosec // one of five
	p.last.Store(at.UnixMilli())
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

func (ps *peers) note(from netip.Addr, by rpc, at time.Time) {
	if !from.IsValid() {
		return
	}
	for i := range ps {
		if p := ps[i].Load(); p != nil && p.address == from {
			p.note(by, at)
			return
		}
	}
	ps.add(from, by, at)
}

// add is the slow path. Somebody who comes with two questions at once may be
// given two places, where each is told by itself.
func (ps *peers) add(from netip.Addr, by rpc, at time.Time) {
	oldest, place := ps[0].Load(), 0
	for i := 1; i < len(ps) && oldest != nil; i++ {
		if p := ps[i].Load(); p == nil || p.last.Load() < oldest.last.Load() {
			oldest, place = p, i
		}
	}
	p := &peer{address: from}
	p.note(by, at)
	if !ps[place].CompareAndSwap(oldest, p) {
		ps.note(from, by, at)
	}
}

// shown returns them, the one that asked last first.
func (ps *peers) shown() (all []Peer) {
	for i := range ps {
		if p := ps[i].Load(); p != nil {
			all = append(all, Peer{p.address, p.count.Load(), rpcNames[p.by.Load()], time.UnixMilli(p.last.Load())})
		}
	}
	slices.SortFunc(all, func(a, b Peer) int {
		if c := b.Last.Compare(a.Last); c != 0 {
			return c
		}
		return a.Address.Compare(b.Address)
	})
	return all
}
