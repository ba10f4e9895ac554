package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/selfmetrics"
)

// newVersion is the command that says which build this is.
func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		Short:             "Print the version",
		Long:              "Print the version, the revision it was built from, and the Go version it was built\nwith. The exit code is 0.",
		Example:           "  keda-otel-scaler version",
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			build := selfmetrics.ReadBuild()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "keda-otel-scaler %s (revision %s, %s)\n", build.Version, build.Revision, build.GoVersion)
			return err
		},
	}
}
