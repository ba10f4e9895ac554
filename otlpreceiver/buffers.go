package otlpreceiver

import (
	"math/bits"
	"sync"
)

const (
	// leastBuffer is below what is copied at all: a frame of HTTP/2 that came
	// whole, 16 KiB by default, is used where it is.
	leastBuffer = 1 << 14
	// mostBuffer is beyond what Collectors send; larger ones are not kept.
	mostBuffer = 1 << 22
)

// buffers is a mem.BufferPool for requests that came in pieces, by powers of
// two. gRPC's own wipes a buffer before each use, and has none between 32 KiB
// and 1 MiB: a tenth of the CPU of a gateway's push. These keep what the
// request before left in them, which nobody sees: all of the length is written.
//
// What it keeps goes with the second garbage collection.
type buffers struct {
	pools [9]sync.Pool // of *[]byte of leastBuffer << i
}

var requestBuffers buffers

// Get implements mem.BufferPool.
func (p *buffers) Get(length int) *[]byte {
	if length > mostBuffer {
		b := make([]byte, length)
		return &b
	}
	i := tier(length)
	if b, ok := p.pools[i].Get().(*[]byte); ok {
		*b = (*b)[:length]
		return b
	}
	b := make([]byte, length, leastBuffer<<i)
	return &b
}

// Put implements mem.BufferPool.
func (p *buffers) Put(b *[]byte) {
	if c := cap(*b); c <= mostBuffer {
		p.pools[tier(c)].Put(b)
	}
}

// tier returns the place of the smallest buffers that hold that many bytes.
func tier(length int) int {
	return bits.Len(uint(max(length, leastBuffer)-1) / leastBuffer) //nolint:gosec // positive
}
