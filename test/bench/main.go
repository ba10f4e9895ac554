// Command bench measures the built product as a server beside servers that do
// less: one that takes a request's bytes and decodes nothing, one that decodes
// with pdata and drops, one that answers KEDA with a constant. Each is a process
// of its own on loopback; what the kernel charges to it is the figure.
//
// Go's benchmarks beside the product's code measure functions. This one measures
// what an operator pays for: transport, scheduler and garbage collection
// included. It never imports the product; it builds and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// The reference servers are this binary, started again.
	if len(os.Args) > 1 && references[os.Args[1]] != nil {
		fail(serveReference(os.Args[1]), 1)
		return
	}
	options, err := parseOptions(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	fail(err, 2)
	// SIGPIPE is among them so that `go run . | head` leaves no server behind.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	err = run(ctx, options, os.Stdout, os.Stderr)
	stop()
	fail(err, 1)
}

func fail(err error, code int) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(code)
	}
}
