package inspect

import (
	"context"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/limit"
	inspectv1 "github.com/keda-otel-scaler/keda-otel-scaler/proto/inspect/v1"
)

const (
	maxRequest  = 64 << 10         // bytes
	atATime     = 4                // requests that are worked at; more wait
	maxWatches  = 100              // that are open
	answerTime  = 10 * time.Second // for a request, its wait included
	messageTime = 30 * time.Second // for a watch's peer to take a message
)

// New returns the path below which the API is served, and its handler. Whatever
// serves it must speak HTTP/2 for gRPC; JSON needs no more than a POST.
func New(s Scaler, metrics func() map[string]int) (path string, handler http.Handler) {
	svc := &service{scaler: s, metrics: metrics, watches: limit.NewSemaphore(maxWatches)}
	path, handler = inspectv1.NewInspectServiceHandler(svc,
		connect.WithReadMaxBytes(maxRequest),
		connect.WithInterceptors(limited(limit.NewSemaphore(atATime))),
	)
	return path, withPatience(handler)
}

// limited bounds the unary calls that are worked at, and their time.
func limited(calls limit.Semaphore) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			ctx, cancel := context.WithTimeout(ctx, answerTime)
			defer cancel()
			if err := calls.Acquire(ctx); err != nil {
				return nil, failure(err)
			}
			defer calls.Release()
			return next(ctx, req)
		}
	}
}

type controllerKey struct{}

// withPatience lifts the server's deadlines, which are made for short answers,
// off watches.
func withPatience(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == inspectv1.InspectServiceWatchScaledObjectProcedure {
			controller := http.NewResponseController(w)
			// An error means that there is none to lift.
			_ = controller.SetReadDeadline(time.Time{})
			_ = controller.SetWriteDeadline(time.Time{})
			r = r.WithContext(context.WithValue(r.Context(), controllerKey{}, controller))
		}
		next.ServeHTTP(w, r)
	})
}

// patience bounds the time for sending one message; the returned function ends it.
func patience(ctx context.Context) (done func()) {
	controller, ok := ctx.Value(controllerKey{}).(*http.ResponseController)
	if !ok {
		return func() {}
	}
	_ = controller.SetWriteDeadline(time.Now().Add(messageTime))
	return func() { _ = controller.SetWriteDeadline(time.Time{}) }
}
