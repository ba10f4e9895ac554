package otlpreceiver

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// request is the bytes of one request, uncompressed. They belong to gRPC's
// buffer pool until they are freed.
type request struct{ buf mem.Buffer }

func (r *request) bytes() []byte {
	if r.buf == nil {
		return nil
	}
	return r.buf.ReadOnlyData()
}

// free gives the bytes back; it may be called again.
func (r *request) free() {
	if r.buf != nil {
		r.buf.Free()
		r.buf = nil
	}
}

// response is the bytes of one response.
type response []byte

// codec hands over a request's bytes as they came. grpc-go would answer
// Internal for bytes that its own codec can't decode, and OTLP wants
// InvalidArgument; besides, whoever holds the bytes may choose how to decode
// them. Every other service of the server goes through the codec it had.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	res, ok := v.(*response)
	switch {
	case !ok:
		return c.CodecV2.Marshal(v)
	case len(*res) == 0:
		return nil, nil
	default:
		return mem.BufferSlice{mem.SliceBuffer(*res)}, nil
	}
}

// Unmarshal implements encoding.CodecV2. gRPC frees data on return, so a
// request takes a reference of its own.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	req, ok := v.(*request)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	req.buf = data.MaterializeToBuffer(&requestBuffers)
	return nil
}
