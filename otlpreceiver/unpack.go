package otlpreceiver

import (
	"io"
	"runtime"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip" // senders' default compression
)

// unpackers are the compressors as they are, for bodies that are unpacked while
// they come. gRPC unpacks what has come, and has those with turns.
var unpackers = map[string]encoding.Compressor{}

// unpacking has a place for each message that gRPC may unpack at a time, which it
// does before a handler could wait for its turn. It is the process', as gRPC's
// compressors are.
var unpacking = make(chan struct{}, runtime.GOMAXPROCS(0))

// gRPC keeps its compressors in a map that may only be written in init.
func init() {
	for _, c := range []encoding.Compressor{encoding.GetCompressor(gzip.Name), &zstdCompressor{}} {
		unpackers[c.Name()] = c
		encoding.RegisterCompressor(inTurn{c})
	}
}

// inTurn unpacks when it is its turn.
type inTurn struct{ encoding.Compressor }

// Decompress implements encoding.Compressor.
func (c inTurn) Decompress(r io.Reader) (io.Reader, error) {
	unpacking <- struct{}{}
	plain, err := c.Compressor.Decompress(r)
	if err != nil {
		<-unpacking
		return nil, err
	}
	return &turnReader{Reader: plain}, nil
}

type turnReader struct {
	io.Reader
	closed bool
}

// Close gives the turn back. gRPC calls it on every path.
func (r *turnReader) Close() error {
	if !r.closed {
		r.closed = true
		<-unpacking
	}
	if c, ok := r.Reader.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
