package main

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/config"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/serve"
)

// variables says how flags are set without flags.
const variables = "Every flag can be set by an environment variable instead, such as\n" +
	"KEDA_OTEL_SCALER_MAX_SERIES for --max-series; a flag counts more. otel-add-on's\n" +
	"variables are understood as well, and one that has no meaning here is logged."

// newServe is the command that serves until it is told to stop.
func newServe(lookupEnv func(string) (string, bool)) *cobra.Command {
	var cfg config.Config
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Take OTLP metrics in and answer KEDA from them (the default)",
		Long: "Take OTLP metrics in and answer KEDA from them, until SIGTERM or an interrupt.\n\n" + variables + "\n\n" +
			"Exit codes: 0 stopped by a signal; 1 a setting is wrong, an address can't be listened\n" +
			"on, or a server failed.",
		Example: "  keda-otel-scaler serve\n" +
			"  keda-otel-scaler serve --retention=5m --max-series=200000 --log-format=json\n" +
			"  KEDA_OTEL_SCALER_ON_MISSING=zero keda-otel-scaler serve",
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			notes, err := cfg.Load(cmd.Flags(), lookupEnv)
			if err != nil {
				return err
			}
			logger := newLogger(cfg, cmd.ErrOrStderr())
			for _, note := range notes {
				logger.Warn(note)
			}
			return serve.Run(cmd.Context(), cfg, logger)
		},
	}
	cfg.Bind(cmd.Flags())
	cmd.Flags().SortFlags = false
	complete(cmd, "on-missing", "hold\tas long as it may hide load", "zero\t0 and inactive", "error\tKEDA and the HPA hold", "value\tthat of --value-if-not-found")
	complete(cmd, "log-format", "text\tfor people", "json\tfor collectors")
	complete(cmd, "log-level", "debug", "info", "warn", "error")
	return cmd
}

func newLogger(cfg config.Config, to io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == config.LogJSON {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}
