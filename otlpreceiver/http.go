package otlpreceiver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// MetricsPath is where OTLP/HTTP has its metrics.
const MetricsPath = "/v1/metrics"

// firstBuffer bounds what a request is given before any of it has come: what it
// says about its length is only a claim.
const firstBuffer = 64 << 10

// usuallyPacked is how many bytes gzip or zstd make one of.
const usuallyPacked = 8

// Handler returns the OTLP/HTTP service for metrics, to be mounted at one path
// or several. It takes requests of at most so many bytes, compressed or not.
// Slow senders are for the server that it is mounted in to bound.
func (r *Receiver) Handler(maxBytes int) http.Handler { return &httpHandler{r, maxBytes} }

// NotFound answers at all other paths of a server for OTLP.
func NotFound() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		f, _ := formatOf(req.Header.Get("Content-Type"))
		answerError(w, f, refuse(http.StatusNotFound, "there is nothing at %s; OTLP metrics are taken at %s", clip(req.URL.Path), MetricsPath))
	})
}

// Refusal answers every request with a status, and why as OTLP has it, without
// a look at its body.
func Refusal(code int, why string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		f, _ := formatOf(req.Header.Get("Content-Type"))
		answerError(w, f, refuse(code, "%s", why))
	})
}

type httpHandler struct {
	receiver *Receiver
	maxBytes int
}

// refusal is why a request is not read, and the HTTP status that says so.
type refusal struct {
	code int
	why  string
}

// Error implements error.
func (e *refusal) Error() string { return e.why }

func refuse(code int, format string, args ...any) error {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// ServeHTTP implements http.Handler.
func (h *httpHandler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	f, err := formatOf(req.Header.Get("Content-Type"))
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answerError(w, f, refuse(http.StatusMethodNotAllowed, "OTLP metrics are sent here with POST, not %s", clip(req.Method)))
		return
	}
	if err != nil {
		h.receiver.unread(viaHTTP)
		answerError(w, f, err)
		return
	}
	ctx := peer.NewContext(req.Context(), &peer.Peer{Addr: remote(req.RemoteAddr)})
	of, err := h.receiver.admit(ctx, viaHTTP)
	if err != nil {
		answerError(w, f, err)
		return
	}
	defer of.free()
	body, err := h.read(w, req, &of)
	if err != nil {
		if errors.Is(err, errBusy) {
			err = h.receiver.refuse(ctx, viaHTTP, inFlight)
		} else {
			h.receiver.unread(viaHTTP)
		}
		answerError(w, f, err)
		return
	}
	defer requestBuffers.Put(body)
	out, err := h.receiver.ingest(ctx, *body, f, viaHTTP)
	if err != nil {
		answerError(w, f, err)
		return
	}
	answer(w, f, http.StatusOK, *out)
}

// formatOf returns what a content type stands for, and protobuf, for the
// answer, if that is nothing.
func formatOf(contentType string) (*format, error) {
	name, _, err := mime.ParseMediaType(contentType)
	for _, f := range []*format{protobufFormat, jsonFormat} {
		if name == f.contentType && (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter)) {
			return f, nil
		}
	}
	return protobufFormat, refuse(http.StatusUnsupportedMediaType, "the content type is %q; send %s or %s",
		clip(contentType), protobufFormat.contentType, jsonFormat.contentType)
}

// read returns the body, uncompressed, in a buffer of requestBuffers that counts
// as the request's share.
func (h *httpHandler) read(w http.ResponseWriter, req *http.Request, of *share) (*[]byte, error) {
	if req.ContentLength > int64(h.maxBytes) {
		return nil, h.tooLarge()
	}
	name := strings.ToLower(req.Header.Get("Content-Encoding"))
	switch name {
	case "", "identity", "gzip", "zstd":
	default:
		w.Header().Set("Accept-Encoding", "gzip, zstd")
		return nil, refuse(http.StatusUnsupportedMediaType, "the content encoding is %q; send gzip, zstd or none", clip(name))
	}
	b, err := readAll(http.MaxBytesReader(w, req.Body, int64(h.maxBytes)), int(req.ContentLength), h.maxBytes, of.grow)
	if err == nil && (name == "gzip" || name == "zstd") {
		packed := b
		b, err = h.unpack(name, *packed, of)
		requestBuffers.Put(packed)
	}
	if err != nil {
		return nil, h.unreadable(err)
	}
	return b, nil
}

// unpack unpacks a body that has come.
func (h *httpHandler) unpack(name string, packed []byte, of *share) (*[]byte, error) {
	plain, err := encoding.GetCompressor(name).Decompress(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	defer func() { _ = plain.(io.Closer).Close() }() // only gives back what it has
	return readAll(plain, usuallyPacked*len(packed), h.maxBytes, func(to int) bool { return of.grow(len(packed) + to) })
}

var (
	errTooLarge = errors.New("too large")
	errBusy     = errors.New("too many bytes of requests are in memory")
)

// readAll reads until the end, which must come within limit bytes. There has to
// be room for so many before each piece is read.
func readAll(r io.Reader, expected, limit int, room func(bytes int) bool) (*[]byte, error) {
	// One byte more than fits shows that there is one.
	size := min(max(expected, leastBuffer-1), firstBuffer-1, limit) + 1
	if !room(size) {
		return nil, errBusy
	}
	buf := requestBuffers.Get(size)
	for n := 0; ; {
		if n == len(*buf) {
			if n > limit {
				requestBuffers.Put(buf)
				return nil, errTooLarge
			}
			if !room(min(2*n, limit+1)) {
				requestBuffers.Put(buf)
				return nil, errBusy
			}
			larger := requestBuffers.Get(min(2*n, limit+1))
			copy(*larger, *buf)
			requestBuffers.Put(buf)
			buf = larger
		}
		m, err := r.Read((*buf)[n:])
		n += m
		switch {
		case err == nil:
		case err == io.EOF && n <= limit:
			*buf = (*buf)[:n]
			return buf, nil
		case err == io.EOF:
			err = errTooLarge
			fallthrough
		default:
			requestBuffers.Put(buf)
			return nil, err
		}
	}
}

func (h *httpHandler) unreadable(err error) error {
	var tooManyBytes *http.MaxBytesError
	switch {
	case errors.Is(err, errBusy):
		return err
	case errors.Is(err, errTooLarge), errors.As(err, &tooManyBytes):
		return h.tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		// Not 408, which OTLP's senders must not send again after.
		return refuse(http.StatusServiceUnavailable, "the request did not come in time")
	default:
		return refuse(http.StatusBadRequest, "reading the request: %s", clip(err.Error()))
	}
}

func (h *httpHandler) tooLarge() error {
	return refuse(http.StatusRequestEntityTooLarge, "the request has more than the %d bytes that are taken, uncompressed; send smaller batches or raise --max-request-bytes", h.maxBytes)
}

// answerError answers with the status that OTLP has as the body of every error.
func answerError(w http.ResponseWriter, f *format, err error) {
	s := status.Convert(err)
	code := http.StatusInternalServerError
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		s, code = status.New(grpcCode(refused.code), refused.why), refused.code
	case s.Code() == codes.InvalidArgument:
		code = http.StatusBadRequest
	case s.Code() == codes.ResourceExhausted:
		code = http.StatusTooManyRequests
		w.Header().Set("Retry-After", retryAfter)
	}
	body, err := f.failure(s.Proto())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, f, code, body)
}

// grpcCode is what a refusal has as its code within the body.
func grpcCode(code int) codes.Code {
	switch code {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	default:
		return codes.InvalidArgument
	}
}

func answer(w http.ResponseWriter, f *format, code int, body []byte) {
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) //nolint:gosec // an error is the peer's loss, and no browser takes either type for a page
}

// remote is an HTTP peer as gRPC's are known.
type remote string

// Network implements net.Addr.
func (remote) Network() string { return "tcp" }

// String implements net.Addr.
func (r remote) String() string { return string(r) }
