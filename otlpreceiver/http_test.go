package otlpreceiver

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	colpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const (
	protobufType = "application/x-protobuf"
	jsonType     = "application/json"
	httpLimit    = 1 << 20
)

// overHTTP is a receiver behind a real HTTP connection as well.
type overHTTP struct {
	*harness
	url    string
	client *http.Client
}

func serveHTTP(t testing.TB, c config) *overHTTP {
	t.Helper()
	h := serve(t, c)
	mux := http.NewServeMux()
	mux.Handle(MetricsPath, h.receiver.Handler(httpLimit))
	mux.Handle("/", NotFound())
	srv := httptest.NewUnstartedServer(mux)
	srv.Config.ReadTimeout = c.readTimeout
	srv.Start()
	t.Cleanup(srv.Close)
	client := srv.Client()
	client.Transport.(*http.Transport).DisableCompression = true
	return &overHTTP{h, srv.URL + MetricsPath, client}
}

// reply is an answer that was read to its end.
type reply struct {
	code   int
	header http.Header
	body   []byte
}

// post sends a body with headers of name, value, name, value...
func (h *overHTTP) post(body io.Reader, headers ...string) reply {
	h.t.Helper()
	return h.do(http.MethodPost, h.url, body, headers...)
}

func (h *overHTTP) do(method, url string, body io.Reader, headers ...string) reply {
	h.t.Helper()
	req, err := http.NewRequestWithContext(ctx(h.t), method, url, body)
	require.NoError(h.t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := h.client.Do(req)
	require.NoError(h.t, err)
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	require.NoError(h.t, err)
	return reply{res.StatusCode, res.Header, answer}
}

// requests returns the receiver's counter of one outcome.
func (h *overHTTP) requests(outcome string) float64 {
	return h.metric("keda_otel_scaler_otlp_requests_total", "outcome", outcome)
}

func asJSON(t testing.TB, rms ...*mpb.ResourceMetrics) []byte {
	b, err := protojson.Marshal(&colpb.ExportMetricsServiceRequest{ResourceMetrics: rms})
	require.NoError(t, err)
	return b
}

func gzipped(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func zstded(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out) // streams, as senders do
	require.NoError(t, err)
	_, err = w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

// allKinds is a resource with a point of every kind, and one that is refused.
func allKinds() *mpb.ResourceMetrics {
	return resource(kv("service.name", "vllm", "k8s.pod.name", "a"),
		gaugeOf("g", double(0, 1.5, "x", "1"), &mpb.NumberDataPoint{TimeUnixNano: at(0), Value: &mpb.NumberDataPoint_AsInt{AsInt: -1 << 60}}, ended(0, "x", "2")),
		sumOf("s", cumulative, true, double(0, 7)), sumOf("d", delta, true, double(-1, 1), double(0, 2)),
		sumOf("refused", unspecified, true, double(0, 7)),
		histogramOf("h", cumulative, buckets(0, []float64{0.5, 1}, []uint64{1, 2, 3}, 9)),
		exponentialOf("e", cumulative, expPoint(0, 3, 7, []uint64{4}, 3)),
		summaryOf("q", summaryPoint(0, 1, 2, 0.5, 3)))
}

func TestOverHTTPTheSameIsStoredAsOverGRPC(t *testing.T) {
	grpc := serve(t, config{})
	want := grpc.export(allKinds())
	require.EqualValues(t, 1, want.RejectedDataPoints)
	body, err := proto.Marshal(&colpb.ExportMetricsServiceRequest{ResourceMetrics: []*mpb.ResourceMetrics{allKinds()}})
	require.NoError(t, err)
	text := asJSON(t, allKinds())
	for name, c := range map[string]struct {
		body    []byte
		headers []string
	}{
		"protobuf":              {body, []string{"Content-Type", protobufType}},
		"protobuf, gzip":        {gzipped(t, body), []string{"Content-Type", protobufType, "Content-Encoding", "gzip"}},
		"protobuf, zstd":        {zstded(t, body), []string{"Content-Type", protobufType, "Content-Encoding", "zstd"}},
		"protobuf, identity":    {body, []string{"Content-Type", protobufType, "Content-Encoding", "identity"}},
		"JSON":                  {text, []string{"Content-Type", jsonType}},
		"JSON with a parameter": {text, []string{"Content-Type", "Application/JSON; charset=utf-8"}},
		"JSON, GZIP":            {gzipped(t, text), []string{"Content-Type", jsonType, "Content-Encoding", "GZIP"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := serveHTTP(t, config{})
			for range 2 { // new series, then known ones
				res := h.post(bytes.NewReader(c.body), c.headers...)
				require.Equal(t, http.StatusOK, res.code, string(res.body))
				var got colpb.ExportMetricsServiceResponse
				if strings.HasPrefix(name, "JSON") {
					require.Equal(t, jsonType, res.header.Get("Content-Type"))
					require.NoError(t, protojson.Unmarshal(res.body, &got))
				} else {
					require.Equal(t, protobufType, res.header.Get("Content-Type"))
					require.NoError(t, proto.Unmarshal(res.body, &got))
				}
				require.True(t, proto.Equal(want, got.PartialSuccess), "%v", got.PartialSuccess)
				require.Equal(t, grpc.held(""), h.held(""))
			}
			require.Equal(t, 2.0, h.requests("partial"))
		})
	}
}

func TestFullSuccessOverHTTPLeavesPartialSuccessUnset(t *testing.T) {
	h := serveHTTP(t, config{})
	res := h.post(bytes.NewReader(encoded(t, gaugeOf("g", double(0, 1)))), "Content-Type", protobufType)
	require.Equal(t, http.StatusOK, res.code)
	require.Empty(t, res.body)
	res = h.post(bytes.NewReader(asJSON(t, resource(nil, gaugeOf("g", double(0, 1))))), "Content-Type", jsonType)
	require.Equal(t, http.StatusOK, res.code)
	require.Equal(t, "{}", string(res.body))
	require.Equal(t, 2.0, h.requests("ok"))
}

// TestStatusCodesOfHTTP: every refusal has the status of the specification, a
// google.rpc.Status in the request's format as its body, and stores nothing.
func TestStatusCodesOfHTTP(t *testing.T) {
	good := encoded(t, gaugeOf("new", double(0, 1)))
	text := asJSON(t, resource(nil, gaugeOf("new", double(0, 1))))
	bomb := make([]byte, 100*httpLimit)
	// Field 4, a varint, and field 4 again, the 'r' bytes after the r.
	jsonAndProtobuf := fmt.Appendf(nil, ` {"resourceMetrics":[%*s]}`, 'r'-len(`esourceMetrics":[]}`), "")
	for _, c := range []struct {
		name, method string
		body         []byte
		headers      []string
		code         int
		message      string
		outcome      string
	}{
		{"GET", http.MethodGet, nil, nil, http.StatusMethodNotAllowed, "with POST, not GET", ""},
		{"PUT of JSON", http.MethodPut, text, []string{"Content-Type", jsonType}, http.StatusMethodNotAllowed, "with POST, not PUT", ""},
		{"no type", "", good, nil, http.StatusUnsupportedMediaType, `the content type is ""`, "unread"},
		{"other type", "", good, []string{"Content-Type", "text/plain"}, http.StatusUnsupportedMediaType, "send application/x-protobuf or application/json", "unread"},
		{"hardly a type", "", good, []string{"Content-Type", ";;"}, http.StatusUnsupportedMediaType, "the content type is", "unread"},
		{"other encoding", "", good, []string{"Content-Type", protobufType, "Content-Encoding", "br"}, http.StatusUnsupportedMediaType, `the content encoding is "br"`, "unread"},
		{"two encodings", "", good, []string{"Content-Type", protobufType, "Content-Encoding", "gzip, gzip"}, http.StatusUnsupportedMediaType, "the content encoding is", "unread"},
		{"not gzip", "", good, []string{"Content-Type", protobufType, "Content-Encoding", "gzip"}, http.StatusBadRequest, "gzip: invalid header", "unread"},
		{"not zstd", "", good, []string{"Content-Type", jsonType, "Content-Encoding", "zstd"}, http.StatusBadRequest, "reading the request", "unread"},
		{"half of gzip", "", gzipped(t, good)[:20], []string{"Content-Type", protobufType, "Content-Encoding", "gzip"}, http.StatusBadRequest, "unexpected EOF", "unread"},
		{"half of zstd", "", zstded(t, good)[:20], []string{"Content-Type", protobufType, "Content-Encoding", "zstd"}, http.StatusBadRequest, "unexpected EOF", "unread"},
		{"garbage", "", []byte("GET / HTTP/1.1"), []string{"Content-Type", protobufType}, http.StatusBadRequest, "not an OTLP ExportMetricsServiceRequest", "malformed"},
		{"cut short", "", good[:len(good)-1], []string{"Content-Type", protobufType}, http.StatusBadRequest, "not an OTLP ExportMetricsServiceRequest", "malformed"},
		{"protobuf as JSON", "", good, []string{"Content-Type", jsonType}, http.StatusBadRequest, "not an OTLP ExportMetricsServiceRequest", "malformed"},
		{"JSON as protobuf", "", text, []string{"Content-Type", protobufType}, http.StatusBadRequest, "it is JSON: send it with the content type application/json", "malformed"},
		{"JSON that is protobuf, too", "", jsonAndProtobuf, []string{"Content-Type", protobufType}, http.StatusBadRequest, "it is JSON: send it with the content type application/json", "malformed"},
		{"no JSON", "", nil, []string{"Content-Type", jsonType}, http.StatusBadRequest, "not an OTLP ExportMetricsServiceRequest", "malformed"},
		{"JSON, then more", "", append(bytes.Clone(text), '}'), []string{"Content-Type", jsonType}, http.StatusBadRequest, "not an OTLP ExportMetricsServiceRequest", "malformed"},
		{"JSON of a wrong type", "", []byte(`{"resourceMetrics":7}`), []string{"Content-Type", jsonType}, http.StatusBadRequest, "not an OTLP ExportMetricsServiceRequest", "malformed"},
		{"too large", "", bomb[:httpLimit+1], []string{"Content-Type", protobufType}, http.StatusRequestEntityTooLarge, "more than the 1048576 bytes", "unread"},
		{"gzip bomb", "", gzipped(t, bomb), []string{"Content-Type", protobufType, "Content-Encoding", "gzip"}, http.StatusRequestEntityTooLarge, "more than the 1048576 bytes", "unread"},
		{"zstd bomb", "", zstded(t, bomb), []string{"Content-Type", jsonType, "Content-Encoding", "zstd"}, http.StatusRequestEntityTooLarge, "more than the 1048576 bytes", "unread"},
		{"gzip of nothing, for ever", "", bytes.Repeat(gzipped(t, nil), httpLimit/20), []string{"Content-Type", protobufType, "Content-Encoding", "gzip"}, http.StatusRequestEntityTooLarge, "more than the 1048576 bytes", "unread"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := serveHTTP(t, config{})
			res := h.do(cmp.Or(c.method, http.MethodPost), h.url, bytes.NewReader(c.body), c.headers...)
			require.Equal(t, c.code, res.code, string(res.body))
			var said spb.Status
			if len(c.headers) > 0 && c.headers[1] == jsonType {
				require.Equal(t, jsonType, res.header.Get("Content-Type"))
				require.NoError(t, protojson.Unmarshal(res.body, &said))
			} else {
				require.Equal(t, protobufType, res.header.Get("Content-Type"))
				require.NoError(t, proto.Unmarshal(res.body, &said))
			}
			require.Contains(t, said.Message, c.message)
			if c.code == http.StatusMethodNotAllowed {
				require.Equal(t, http.MethodPost, res.header.Get("Allow"))
			}
			if strings.Contains(c.message, "encoding") {
				require.Equal(t, "gzip, zstd", res.header.Get("Accept-Encoding"))
			}
			if c.outcome == "malformed" {
				var details errdetails.BadRequest
				require.Len(t, said.Details, 1)
				require.NoError(t, said.Details[0].UnmarshalTo(&details))
				require.Equal(t, said.Message, details.FieldViolations[0].Description)
			}
			for _, outcome := range []string{"ok", "partial", "malformed", "unread"} {
				require.Equal(t, map[bool]float64{true: 1}[outcome == c.outcome], h.requests(outcome), outcome)
			}
			require.Empty(t, h.held(""))
		})
	}
}

// TestRequestsOfEveryLengthComeWhole goes across the sizes of buffers.
func TestRequestsOfEveryLengthComeWhole(t *testing.T) {
	for _, n := range []int{0, 1, leastBuffer - 1, leastBuffer, leastBuffer + 1, firstBuffer, firstBuffer + 1, httpLimit - 1, httpLimit} {
		for name, expected := range map[string]int{"said": n, "not said": -1, "too little": n / 2} {
			t.Run(name+" "+strconv.Itoa(n), func(t *testing.T) {
				sent := make([]byte, n)
				for i := range sent {
					sent[i] = byte(i * 31 >> 3)
				}
				got, err := readAll(bytes.NewReader(sent), expected, httpLimit, ample().grow)
				require.NoError(t, err)
				require.True(t, bytes.Equal(sent, *got))
				requestBuffers.Put(got)
			})
		}
	}
	_, err := readAll(bytes.NewReader(make([]byte, httpLimit+1)), -1, httpLimit, ample().grow)
	require.ErrorIs(t, err, errTooLarge)
}

// TestABodyOfUnsaidLengthIsBounded: nothing but reading it tells, compressed or
// not.
func TestABodyOfUnsaidLengthIsBounded(t *testing.T) {
	h := serveHTTP(t, config{})
	for encoding, body := range map[string][]byte{
		"identity": make([]byte, httpLimit+1),
		"gzip":     bytes.Repeat(gzipped(t, nil), httpLimit/20), // of nothing, for ever
	} {
		res := h.post(readerFunc(bytes.NewReader(body).Read), "Content-Type", jsonType, "Content-Encoding", encoding)
		require.Equal(t, http.StatusRequestEntityTooLarge, res.code, encoding)
	}
}

func TestAClaimedLengthTakesNoMemory(t *testing.T) {
	r, w := io.Pipe()
	read := make(chan int, 1)
	go func() {
		_, _ = readAll(readerFunc(func(p []byte) (int, error) {
			select {
			case read <- len(p):
			default:
			}
			return r.Read(p)
		}), httpLimit, httpLimit, ample().grow)
	}()
	require.LessOrEqual(t, <-read, firstBuffer+1)
	require.NoError(t, w.Close())
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestHalfARequestOverHTTPIsCountedAndStoresNothing(t *testing.T) {
	h := serveHTTP(t, config{})
	conn, err := (&net.Dialer{}).DialContext(ctx(t), "tcp", strings.TrimSuffix(strings.TrimPrefix(h.url, "http://"), MetricsPath))
	require.NoError(t, err)
	_, err = io.WriteString(conn, "POST "+MetricsPath+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 100\r\n\r\n\x0a")
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Contains(t, string(answer), "HTTP/1.1 400 Bad Request")
	require.Contains(t, string(answer), "unexpected EOF")
	require.NoError(t, conn.Close())
	require.Equal(t, 1.0, h.requests("unread"))
	require.Empty(t, h.held(""))
}

func TestTheLogNamesThePeerOfAnHTTPRequest(t *testing.T) {
	var log bytes.Buffer
	h := serveHTTP(t, config{logger: slog.New(slog.NewTextHandler(&log, nil))})
	h.post(bytes.NewReader(encoded(t, sumOf("u", unspecified, true, double(0, 1)))), "Content-Type", protobufType)
	require.Regexp(t, `peer=127\.0\.0\.1:\d+`, log.String())
}

func TestOtherPathsOfAnOTLPServer(t *testing.T) {
	h := serveHTTP(t, config{})
	res := h.do(http.MethodPost, strings.Replace(h.url, "metrics", "traces", 1), strings.NewReader("{}"), "Content-Type", jsonType)
	require.Equal(t, http.StatusNotFound, res.code)
	var said spb.Status
	require.NoError(t, protojson.Unmarshal(res.body, &said))
	require.Equal(t, "there is nothing at /v1/traces; OTLP metrics are taken at /v1/metrics", said.Message)
}

func TestRefusals(t *testing.T) {
	for code, want := range map[int]codes.Code{
		http.StatusUnauthorized: codes.Unauthenticated, http.StatusForbidden: codes.PermissionDenied, http.StatusNotFound: codes.InvalidArgument,
	} {
		response := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodPost, MetricsPath, iotest.ErrReader(errors.New("read")))
		request.Header.Set("Content-Type", jsonType)
		Refusal(code, "no %").ServeHTTP(response, request)
		require.Equal(t, code, response.Code)
		var said spb.Status
		require.NoError(t, protojson.Unmarshal(response.Body.Bytes(), &said))
		require.Equal(t, int32(want), said.Code)
		require.Equal(t, "no %", said.Message)
	}
}

// TestASlowRequestMayBeSentAgain: OTLP's senders drop what is answered 408.
func TestASlowRequestMayBeSentAgain(t *testing.T) {
	h := serveHTTP(t, config{readTimeout: 50 * time.Millisecond})
	r, w := io.Pipe() // of which nothing comes
	defer func() { require.NoError(t, w.Close()) }()
	res := h.post(r, "Content-Type", protobufType)
	require.Equal(t, http.StatusServiceUnavailable, res.code)
	require.Contains(t, string(res.body), "did not come in time")
	require.Equal(t, 1.0, h.requests("unread"))
}
