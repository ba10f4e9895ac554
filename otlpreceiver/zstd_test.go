package otlpreceiver

import (
	"bytes"
	stdgzip "compress/gzip"
	"io"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	colpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
)

func TestCompressedRequestsAreStored(t *testing.T) {
	for _, name := range []string{gzip.Name, "zstd"} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, config{})
			conn := h.dial(grpc.WithDefaultCallOptions(grpc.UseCompressor(name)))
			client := colpb.NewMetricsServiceClient(conn)
			// Several in a row, so that pooled coders are used again; the last
			// has an answer, which goes back compressed too.
			for i := range 3 {
				var ms []*mpb.Metric
				for j := range 500 {
					ms = append(ms, gaugeOf("g", double(float64(i), float64(j), "n", string(rune('a'+j)))))
				}
				if i == 2 {
					ms = append(ms, gaugeOf("", double(0, 1)))
				}
				h.clock.advance(1e9)
				res, err := client.Export(ctx(t), &colpb.ExportMetricsServiceRequest{ResourceMetrics: []*mpb.ResourceMetrics{resource(nil, ms...)}})
				require.NoError(t, err)
				if i == 2 {
					require.Contains(t, res.PartialSuccess.GetErrorMessage(), "no name")
				}
			}
			require.Len(t, h.held("g"), 500)
			require.Contains(t, h.held("g"), `g{n="a"} 0@0 0@1 0@2`)
		})
	}
}

// canned "compresses" everything to bytes made elsewhere.
type canned struct {
	kind  string
	bytes []byte
}

func (c canned) Type() string { return c.kind }
func (c canned) Do(w io.Writer, _ []byte) error {
	_, err := w.Write(c.bytes)
	return err
}

func (h *harness) sendCanned(kind string, b []byte) error {
	conn := h.dial(grpc.WithCompressor(canned{kind, b})) //nolint:staticcheck // the only way past the registry
	_, err := h.raw(conn, []byte("replaced"))
	return err
}

func TestZstdOfAnotherEncoderIsRead(t *testing.T) {
	h := serve(t, config{})
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	require.NoError(t, err)
	require.NoError(t, h.sendCanned("zstd", enc.EncodeAll(encoded(t, gaugeOf("g", double(0, 1))), nil)))
	require.NoError(t, enc.Close())
	require.Equal(t, []string{"g{} 1@0"}, h.held("g"))
}

func TestZstdBombIsResourceExhaustedWithinBoundedMemory(t *testing.T) {
	var b bytes.Buffer
	enc, err := zstd.NewWriter(&b)
	require.NoError(t, err)
	zeros := make([]byte, 1<<20)
	for range 256 {
		_, err = enc.Write(zeros)
		require.NoError(t, err)
	}
	require.NoError(t, enc.Close())
	require.Less(t, b.Len(), 64<<10)

	h := serve(t, config{})
	h.sendOK(gaugeOf("held", double(0, 1))) // connections and pools are there
	allocated := allocatedBy(func() { err = h.sendCanned("zstd", b.Bytes()) })
	require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
	require.Less(t, allocated, uint64(64<<20))
	require.Equal(t, []string{"held{} 1@0"}, h.held(""))
}

// A frame of a few bytes may ask for a window of gigabytes. grpc-go answers
// Internal for whatever a decompressor refuses, before any handler is called;
// senders drop such a request just as they do after InvalidArgument.
func TestZstdWindowBombIsRefusedWithinBoundedMemory(t *testing.T) {
	frame := []byte{
		0x28, 0xb5, 0x2f, 0xfd, // magic
		0x00,                // no content size, no single segment
		20 << 3,             // window: 2^(10+20)
		0x23, 0x03, 0x00, 7, // last block: one byte, a hundred times
	}
	h := serve(t, config{})
	h.sendOK(gaugeOf("held", double(0, 1)))
	var err error
	allocated := allocatedBy(func() { err = h.sendCanned("zstd", frame) })
	require.Equal(t, codes.Internal, status.Code(err), "%v", err)
	require.ErrorContains(t, err, "window size exceeded")
	require.InDelta(t, 1, testutil.ToFloat64(h.receiver.metrics.by[viaGRPC].unread), 0, "what does not come through is counted")
	require.Less(t, allocated, uint64(16<<20))
	require.Equal(t, []string{"held{} 1@0"}, h.held(""))
}

func TestDecoderWorksAfterACorruptFrame(t *testing.T) {
	h := serve(t, config{})
	enc, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	good := enc.EncodeAll(encoded(t, gaugeOf("g", double(0, 1))), nil)
	require.NoError(t, enc.Close())
	bad := bytes.Clone(good)
	bad[len(bad)-6] ^= 0xff
	for range 4 {
		require.Error(t, h.sendCanned("zstd", bad))
		require.NoError(t, h.sendCanned("zstd", good))
	}
	require.Equal(t, []string{"g{} 1@0"}, h.held("g"))
}

// A decoder that is in the pool may be somebody else's already.
func TestClosedReaderLeavesItsDecoderAlone(t *testing.T) {
	var packed bytes.Buffer
	z := stdgzip.NewWriter(&packed)
	require.NoError(t, z.Close())
	for name, empty := range map[string][]byte{gzip.Name: packed.Bytes(), "zstd": nil} {
		r, err := encoding.GetCompressor(name).Decompress(bytes.NewReader(empty))
		require.NoError(t, err)
		require.NoError(t, r.(io.Closer).Close())
		require.NoError(t, r.(io.Closer).Close())
		_, err = r.Read(make([]byte, 1))
		require.ErrorIs(t, err, errClosed)
	}
}

func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
