// Command demo shows the whole loop on one machine with nothing but Go: the
// real keda-otel-scaler as a child process, stand-in vLLM pods that push OTLP
// at it with the OpenTelemetry SDK, and a client that asks it what KEDA asks,
// decides what the HPA would decide, and starts and stops pods accordingly.
//
// Only the clock is not a cluster's: KEDA polls every 30 s and the HPA every
// 15 s, the demo does both each second, and shortens the HPA's scale-down
// window from 300 s to 5 s. It never touches Kubernetes.
//
// It is a module of its own so that the OpenTelemetry SDK stays out of the
// product's go.mod; it does not import the product, it builds and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

func main() {
	options, err := parseOptions(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(2)
	}
	// SIGPIPE is among them because `make demo | head` must not leave the
	// service running behind a demo that died of a closed pipe.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	err = run(ctx, options, newScreen(os.Stdout, term.IsTerminal(int(os.Stdout.Fd()))))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}
