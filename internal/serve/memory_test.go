package serve

import (
	"context"
	"io"
	"math"
	"net"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestBytesInFlightFollowTheMemoryLimit(t *testing.T) {
	require.Equal(t, inflightBytes, (&memory{limit: math.MaxInt64}).inflight(0))
	require.Equal(t, 64<<20, (&memory{limit: 512 << 20}).inflight(0))
	require.Equal(t, 7, (&memory{limit: 512 << 20}).inflight(7))
}

func TestMemoryIsFullBeforeItIsTight(t *testing.T) {
	m := &memory{limit: 1000}
	for needed, want := range map[int64][2]bool{0: {}, 850: {}, 851: {true, false}, 930: {true, false}, 931: {true, true}, 2000: {true, true}} {
		m.needed.Store(needed)
		require.Equal(t, want, [2]bool{m.full(), m.tight()}, needed)
	}
}

// TestMemoryIsWhatLives: garbage is no reason to refuse anybody, and what was
// let go is found to be gone though nothing else happens.
func TestMemoryIsWhatLives(t *testing.T) {
	runtime.GC()
	const ballast = 64 << 20
	before := debug.SetMemoryLimit(256 << 20)
	defer debug.SetMemoryLimit(before)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	m := newMemory()
	m.limit = ballast // of which the test alone needs half
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.run(ctx) }()

	held := make([]byte, ballast)
	runtime.GC()
	require.Eventually(t, m.tight, generous, time.Millisecond)
	runtime.KeepAlive(held)
	require.Eventually(t, func() bool { return !m.tight() }, generous, time.Millisecond, "by a collection of its own")
	cancel()
	require.NoError(t, <-done)
}

// TestReadBytesCountUntilACollection: they may be live until a collection shows that
// they are garbage, and are not counted twice where it shows that they are live.
func TestReadBytesCountUntilACollection(t *testing.T) {
	const ballast = 64 << 20
	before := debug.SetMemoryLimit(1 << 40)
	defer debug.SetMemoryLimit(before)
	m := newMemory()
	m.look()
	m.limit = float64(m.needed.Load()+ballast) / spentShare
	cycles := m.cycles
	for range 10 { // garbage, ten times what there is room for
		m.arrived(ballast - 1<<20)
		require.False(t, m.spent())
	}
	require.GreaterOrEqual(t, m.cycles-cycles, uint64(5), "it waits for collections")

	live := make([]byte, ballast/2)
	m.arrived(len(live))
	require.False(t, m.spent(), "there is room for half")
	more := make([]byte, ballast)
	m.arrived(len(more))
	require.True(t, m.spent(), "there is no room for one and a half")
	runtime.KeepAlive(live)
	runtime.KeepAlive(more)
	cycles = m.cycles
	require.True(t, m.spent())
	require.Equal(t, cycles, m.cycles, "it is known")
}

// TestLittleMemoryIsNoneForReads: otherwise each read would wait for a collection.
func TestLittleMemoryIsNoneForReads(t *testing.T) {
	before := debug.SetMemoryLimit(1 << 40)
	defer debug.SetMemoryLimit(before)
	m := newMemory()
	runtime.GC()
	m.look()
	m.limit = float64(m.needed.Load()) / (spentShare - collectShare/2)
	require.False(t, m.spent(), "nothing was read")
	m.arrived(int(m.limit))
	require.True(t, m.spent(), "that was garbage, and little room is left")
}

// TestConnectionsCountWhatTheyRead, and nothing else.
func TestConnectionsCountWhatTheyRead(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	read := 0
	l = newConnections(prometheus.NewRegistry()).bound(l, "test", 10, nil, nil, func(n int) { read += n })
	defer l.Close()
	client, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	_, err = client.Write([]byte("seven b"))
	require.NoError(t, err)
	require.NoError(t, client.Close())
	server, err := l.Accept()
	require.NoError(t, err)
	defer server.Close()
	_, err = io.ReadAll(server)
	require.NoError(t, err)
	require.Equal(t, 7, read)
}

func TestReadBytesCountForNothingWithoutALimit(t *testing.T) {
	m := &memory{limit: math.MaxInt64}
	m.arrived(1 << 62)
	require.False(t, m.spent())
	require.Zero(t, m.read.Load())
}
