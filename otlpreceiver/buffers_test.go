package otlpreceiver

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/mem"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

func TestBuffersHaveTheLengthThatWasAskedFor(t *testing.T) {
	var p buffers
	for _, n := range []int{1, leastBuffer - 1, leastBuffer, leastBuffer + 1, 3 * leastBuffer, mostBuffer, mostBuffer + 1} {
		for range 2 { // a new one, and one that was used
			b := p.Get(n)
			require.Len(t, *b, n)
			require.Less(t, cap(*b), max(2*n, leastBuffer+1))
			p.Put(b)
		}
	}
}

func TestHugeBuffersAreNotKept(t *testing.T) {
	var p buffers
	b := p.Get(mostBuffer + 1)
	p.Put(b)
	for i := range p.pools {
		require.Nil(t, p.pools[i].Get())
	}
}

// inPieces is a request as gRPC reads it: a buffer for each frame.
func inPieces(b []byte) (pieces mem.BufferSlice) {
	for len(b) > 0 {
		n := min(len(b), 1000)
		pieces = append(pieces, mem.SliceBuffer(b[:n]))
		b = b[n:]
	}
	return pieces
}

// Buffers are not wiped between requests: neither may a request see more than
// its own bytes, nor may anything that is kept of it point into them.
func TestRequestsShareBuffersUnseen(t *testing.T) {
	h := newHarness(t, store.Options{})
	export := func(b []byte) {
		req := &request{}
		require.NoError(t, newCodec().Unmarshal(inPieces(b), req))
		require.True(t, bytes.Equal(b, req.bytes()))
		res, err := h.receiver.export(t.Context(), req)
		require.NoError(t, err)
		require.Empty(t, *res)
		held := req.bytes()
		req.free()
		for i := range held {
			held[i] = 'X' // as the next request would
		}
	}
	export(marshal(t, gateway(3)...))
	want := h.held("")
	require.Len(t, want, 60)
	for i := range 3 {
		export(marshal(t, gateway(3-i)...))
		require.Equal(t, want, h.held(""), fmt.Sprint("after a request of ", 3-i))
	}
}
