package otlpreceiver

import (
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// maxWindow is the memory that one compressed request may ask of the
	// decoder before the first byte comes out. RFC 8878 asks for 8 MiB of
	// everybody. What comes out is bounded by the server's MaxRecvMsgSize.
	maxWindow = 8 << 20
	// responseWindow is plenty for the answers, which are a line or two.
	responseWindow = 64 << 10
)

// zstdCompressor implements encoding.Compressor. Its coders are pooled: a new
// one costs more than most requests.
type zstdCompressor struct {
	encoders, decoders sync.Pool
}

// Name implements encoding.Compressor.
func (*zstdCompressor) Name() string { return "zstd" }

// Compress implements encoding.Compressor.
func (c *zstdCompressor) Compress(w io.Writer) (io.WriteCloser, error) {
	if z, ok := c.encoders.Get().(*zstdWriter); ok {
		z.enc.Reset(w)
		return z, nil
	}
	// Concurrency 1 keeps coders free of goroutines, which a pool would leak.
	enc, err := zstd.NewWriter(w,
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(responseWindow))
	if err != nil {
		return nil, err
	}
	return &zstdWriter{enc: enc, pool: &c.encoders}, nil
}

// Decompress implements encoding.Compressor.
func (c *zstdCompressor) Decompress(r io.Reader) (io.Reader, error) {
	d, ok := c.decoders.Get().(*zstd.Decoder)
	if !ok {
		var err error
		if d, err = zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(maxWindow),
			zstd.WithDecoderMaxWindow(maxWindow)); err != nil {
			return nil, err
		}
	}
	if err := d.Reset(r); err != nil {
		return nil, err
	}
	return zstdReader{d, &c.decoders}, nil
}

type zstdWriter struct {
	enc  *zstd.Encoder
	pool *sync.Pool
}

func (w *zstdWriter) Write(p []byte) (int, error) { return w.enc.Write(p) }

func (w *zstdWriter) Close() error {
	err := w.enc.Close()
	w.enc.Reset(nil) // the pool must not hold on to the response
	w.pool.Put(w)
	return err
}

type zstdReader struct {
	*zstd.Decoder

	pool *sync.Pool
}

// Close puts the decoder back, without the message.
func (r zstdReader) Close() error {
	if err := r.Reset(nil); err != nil {
		r.Decoder.Close()
		return nil
	}
	r.pool.Put(r.Decoder)
	return nil
}
