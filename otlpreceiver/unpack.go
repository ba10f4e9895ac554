package otlpreceiver

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip" // senders' default compression
)

// grpcGzip is gRPC's own.
var grpcGzip = encoding.GetCompressor(gzip.Name)

// A compressor here hands over readers that are to be closed once, and not read
// after that, which inTurn sees to.
//
// gRPC keeps its compressors in a map that may only be written in init.
func init() {
	for _, c := range []encoding.Compressor{&gzipCompressor{Compressor: grpcGzip}, &zstdCompressor{}} {
		encoding.RegisterCompressor(inTurn{c})
	}
}

// inTurn unpacks when it is its turn. What it is given must have come: a sender
// that is slow must not keep others' turn.
type inTurn struct{ encoding.Compressor }

// Decompress implements encoding.Compressor.
func (c inTurn) Decompress(r io.Reader) (io.Reader, error) {
	if err := takeTurn(context.Background()); err != nil {
		return nil, err
	}
	plain, err := c.Compressor.Decompress(r)
	if err != nil {
		endTurn()
		return nil, err
	}
	return &turnReader{plain.(io.ReadCloser)}, nil
}

// errClosed keeps a reader from touching a decoder that somebody else may have
// by now.
var errClosed = errors.New("what unpacks it is closed")

// turnReader has a turn and a pooled decoder until it is closed.
type turnReader struct {
	plain io.ReadCloser // nil once it is closed
}

// Read implements io.Reader.
func (r *turnReader) Read(p []byte) (int, error) {
	if r.plain == nil {
		return 0, errClosed
	}
	return r.plain.Read(p)
}

// Close gives both back. gRPC calls it on every path, the refusal of a message
// that grows too large included.
func (r *turnReader) Close() error {
	if r.plain == nil {
		return nil
	}
	plain := r.plain
	r.plain = nil
	endTurn()
	return plain.Close()
}
