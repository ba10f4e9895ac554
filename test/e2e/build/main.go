// Command build puts every program that the end-to-end tests start into
// test/e2e/.cache/bin, and says how long each took. The tests build what is
// missing by themselves; this is for having it before their clock runs, and
// before they leave the network behind.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/binary"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := binary.All(ctx)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}
