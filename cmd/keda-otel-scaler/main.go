// Command keda-otel-scaler is a KEDA external scaler that answers from the
// OpenTelemetry metrics pushed to it. It has one file a subcommand; without
// one, it serves.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program without its surroundings; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(os.LookupEnv)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if text := err.Error(); text != "" {
		_, _ = fmt.Fprintln(stderr, "keda-otel-scaler:", text)
	}
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return 1
}

// newRoot is the command that serves, with all others below it.
func newRoot(lookupEnv func(string) (string, bool)) *cobra.Command {
	root := newServe(lookupEnv)
	root.Use = "keda-otel-scaler"
	root.Long = "A KEDA external scaler that answers from the OpenTelemetry metrics pushed to it.\n" +
		"Without a command it serves, with the flags below.\n\n" + variables + "\n\n" +
		"Exit codes: 0 stopped by a signal, or done; 1 failed, with an error; check and\n" +
		"render have more to tell, see their --help."
	root.Example = "  keda-otel-scaler --retention=5m\n" +
		"  keda-otel-scaler explain default/huggingface-fbopt-predictor\n" +
		"  keda-otel-scaler check -f scaledobject.yaml\n" +
		"  source <(keda-otel-scaler completion bash)"
	root.CompletionOptions.DisableDefaultCmd = true
	// Errors are one line, printed once, by run.
	root.SilenceUsage, root.SilenceErrors = true, true
	root.AddCommand(newServe(lookupEnv), newQuery(lookupEnv), newExplain(lookupEnv), newCheck(), newRender(), newCompletion(), newVersion())
	return root
}

// noArguments refuses what follows a command, by name.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unknown argument %q; see %s --help", args[0], cmd.CommandPath())
	}
	return nil
}
