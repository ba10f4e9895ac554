package otlpreceiver

import (
	"bytes"
	stdgzip "compress/gzip"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// BenchmarkUnpack unpacks a gateway's request as gRPC has it, with what gRPC
// brings and with ours.
func BenchmarkUnpack(b *testing.B) {
	plain := marshal(b, gateway(50)...)
	var packed bytes.Buffer
	z := stdgzip.NewWriter(&packed)
	_, err := z.Write(plain)
	require.NoError(b, err)
	require.NoError(b, z.Close())
	slice := mem.BufferSlice{mem.SliceBuffer(packed.Bytes())}
	out := make([]byte, len(plain)+1)
	for name, c := range map[string]encoding.Compressor{"gRPC": grpcGzip, "ours": encoding.GetCompressor("gzip")} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			for b.Loop() {
				r, err := c.Decompress(slice.Reader())
				require.NoError(b, err)
				n, err := io.ReadFull(r, out)
				require.Equal(b, io.ErrUnexpectedEOF, err)
				require.Equal(b, len(plain), n)
				if c, ok := r.(io.Closer); ok {
					require.NoError(b, c.Close())
				}
			}
			require.Equal(b, plain, out[:len(plain)])
		})
	}
}
