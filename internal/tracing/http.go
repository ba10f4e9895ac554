package tracing

import (
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
)

// Handler makes the spans of HTTP requests. A query is in its URL, or was asked
// for by a form, which is not read here.
func (t *Tracer) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := t.start(r.Context(), propagation.HeaderCarrier(r.Header), r.Method,
			attribute.String("http.request.method", r.Method), attribute.String("url.path", r.URL.Path), attribute.String("url.query", r.URL.RawQuery))
		defer span.End()
		answered := &recorder{ResponseWriter: w, code: http.StatusOK}
		r = r.WithContext(ctx)
		next.ServeHTTP(answered, r)
		if r.Pattern != "" { // of few routes, as a span's name should be
			span.SetName(r.Method + " " + strings.TrimPrefix(r.Pattern, r.Method+" "))
			span.SetAttributes(attribute.String("http.route", r.Pattern))
		}
		span.SetAttributes(attribute.Int("http.response.status_code", answered.code))
		if answered.code >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(answered.code))
		}
	})
}

// recorder notes the status.
type recorder struct {
	http.ResponseWriter
	code int
}

// WriteHeader notes the status.
func (r *recorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController, by which streams flush.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Flush is for those who don't know of Unwrap.
func (r *recorder) Flush() {
	if f, ok := r.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}
