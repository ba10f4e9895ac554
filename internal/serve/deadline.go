package serve

import (
	"context"
	"time"

	"google.golang.org/grpc/tap"
)

// requestTimeout is how long a request may take to come in, over either
// protocol. Senders wait for five or ten seconds themselves.
const requestTimeout = 10 * time.Second

// endWithin gives a call that its peer gave no end, or a far one, an end of its
// own, and asks the others first. Only a tap can: a handler has the message already
// asked for, and what it waits for is the stream's context.
func endWithin(limit time.Duration, others ...tap.ServerInHandle) tap.ServerInHandle {
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		for _, other := range others {
			var err error
			if ctx, err = other(ctx, info); err != nil {
				return nil, err
			}
		}
		// Collectors and SDKs set a deadline, so this costs them no timer.
		if end, ok := ctx.Deadline(); ok && time.Until(end) <= limit {
			return ctx, nil
		}
		ctx, cancel := context.WithTimeout(ctx, limit) //nolint:gosec // see below
		_ = cancel                                     // the stream's own context ends with it, and this with that
		return ctx, nil
	}
}
