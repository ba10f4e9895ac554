package scaler

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	grpcpeer "google.golang.org/grpc/peer"
)

// from is the context of a call from an address.
func from(ctx context.Context, address string) context.Context {
	return grpcpeer.NewContext(ctx, &grpcpeer.Peer{Addr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 4318))})
}

func TestWhoAsked(t *testing.T) {
	r := newRig(t, Options{})
	r.push("a", 1)
	r.require(kserve, 1, true) // over a real connection
	first := r.server.opts.Now()
	r.wait(time.Second)
	_, err := r.server.GetMetricSpec(from(t.Context(), "::ffff:10.0.0.7"), ref(kserve))
	require.NoError(t, err)
	_, err = r.server.IsActive(from(t.Context(), "10.0.0.7"), ref(kserve))
	require.NoError(t, err)
	_, err = r.server.IsActive(t.Context(), ref(kserve)) // without an address
	require.NoError(t, err)

	sum, err := r.server.Remembered(Object{"default", "huggingface-fbopt-predictor"})
	require.NoError(t, err)
	require.Equal(t, []Peer{
		{netip.MustParseAddr("10.0.0.7"), Asked{"IsActive", 2, first.Add(time.Second)}},
		{netip.MustParseAddr("127.0.0.1"), Asked{"IsActive", 3, first}},
	}, sum.Triggers[0].Peers)

	s := r.stream(kserve)
	require.True(t, s.next())
	sum, err = r.server.Remembered(Object{"default", "huggingface-fbopt-predictor"})
	require.NoError(t, err)
	require.Equal(t, "StreamIsActive", sum.Triggers[0].Peers[0].RPC, "the one that asked last")
}

func TestPeersAreBounded(t *testing.T) {
	var c calls
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) }
	at := func(i int) time.Time { return time.UnixMilli(int64(i)) }
	for i := range 2 * maxPeers {
		c.note(address(i), rpcMetrics, at(i))
	}
	c.note(address(maxPeers), rpcActive, at(100)) // which is the oldest left
	c.note(address(99), rpcSpec, at(101))
	var got []int
	for _, p := range reversed(c.peers) {
		got = append(got, int(p.Address.As4()[3]))
	}
	require.Equal(t, []int{99, 4, 7, 6}, got)
}

// TestCallsAtOnce: each is counted.
func TestCallsAtOnce(t *testing.T) {
	var c calls
	var asking sync.WaitGroup
	for i := range maxPeers {
		asking.Go(func() {
			for range 1000 {
				c.note(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), rpcMetrics, time.UnixMilli(1))
			}
		})
	}
	asking.Wait()
	require.EqualValues(t, 1000*maxPeers, c.byRPC[rpcMetrics].Count)
	require.Len(t, c.peers, maxPeers)
	for _, p := range c.peers {
		require.EqualValues(t, 1000, p.Count)
	}
}
