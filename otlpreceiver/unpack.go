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
		encoding.RegisterCompressor(limited{c})
	}
}

// limited unpacks within the semaphore. What it is given must have come: a sender
// that is slow must not keep others from it.
type limited struct{ encoding.Compressor }

// Decompress implements encoding.Compressor.
func (c limited) Decompress(r io.Reader) (io.Reader, error) {
	if err := decoding.Acquire(context.Background()); err != nil {
		return nil, err
	}
	plain, err := c.Compressor.Decompress(r)
	if err != nil {
		decoding.Release()
		return nil, err
	}
	return &limitedReader{plain.(io.ReadCloser)}, nil
}

// errClosed keeps a reader from touching a decoder that somebody else may have
// by now.
var errClosed = errors.New("what unpacks it is closed")

// limitedReader has the semaphore and a pooled decoder until it is closed.
type limitedReader struct {
	plain io.ReadCloser // nil once it is closed
}

// Read implements io.Reader.
func (r *limitedReader) Read(p []byte) (int, error) {
	if r.plain == nil {
		return 0, errClosed
	}
	return r.plain.Read(p)
}

// Close gives both back. gRPC calls it on every path, the refusal of a message
// that grows too large included.
func (r *limitedReader) Close() error {
	if r.plain == nil {
		return nil
	}
	plain := r.plain
	r.plain = nil
	decoding.Release()
	return plain.Close()
}
