package otlpreceiver

import (
	"bytes"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// nested returns an AnyValue in protobuf that is lists within lists, as deep as
// so many bytes go.
func nested(size int) []byte {
	b := make([]byte, size) // written from its end, from the inside out
	at := size
	field := func(tag byte) {
		n := protowire.AppendVarint(nil, uint64(size-at))
		at -= len(n) + 1
		copy(b[at+1:], n)
		b[at] = tag
	}
	for at > 16 {
		field(1<<3 | 2) // ArrayValue.values
		field(5<<3 | 2) // AnyValue.array_value
	}
	return b[at:]
}

// TestNestingIsBounded: values within values are read by recursion, and a stack
// that has no more room ends the process.
func TestNestingIsBounded(t *testing.T) {
	const most = 1 << 20
	h := serveHTTP(t, config{server: []grpc.ServerOption{grpc.MaxRecvMsgSize(16 << 20)}})
	value := nested(8 << 20)
	ofPoint := append([]byte{2<<3 | 2, 7<<3 | 2}, numberPath...)
	ofResource := append([]byte{2<<3 | 2, 1<<3 | 2}, resourcePath...)
	for name, path := range map[string][]byte{"point": ofPoint, "resource": ofResource} {
		_, err := h.raw(h.conn, enclose(nil, value, path...))
		require.Equal(t, codes.InvalidArgument, status.Code(err), "%s: %v", name, err)
		res := h.post(bytes.NewReader(enclose(nil, nested(most/4), path...)), "Content-Type", protobufType)
		require.Equal(t, http.StatusBadRequest, res.code, name)
	}
	for _, depth := range []int{9_000, 200_000} { // encoding/json goes to 10,000
		list := strings.Repeat(`{"arrayValue":{"values":[`, depth/3) + strings.Repeat(`]}}`, depth/3)
		res := h.post(strings.NewReader(`{"resourceMetrics":[{"resource":{"attributes":[{"key":"k","value":`+list+`}]}}]}`), "Content-Type", jsonType)
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest, http.StatusRequestEntityTooLarge}, res.code, depth)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	require.Less(t, m.StackSys, uint64(64<<20))
	require.Empty(t, h.held(""))
	h.sendOK(gaugeOf("a", double(0, 1)))
}
