package main

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/config"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/serve"
)

// newServe is the command that serves until it is told to stop.
func newServe(lookupEnv func(string) (string, bool)) *cobra.Command {
	var cfg config.Config
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Take OTLP metrics in and answer KEDA from them (the default)",
		Long: "Take OTLP metrics in and answer KEDA from them.\n\n" +
			"Every flag can be set by an environment variable instead, such as " + config.Variable("max-series") + " for --max-series.",
		Args: noArguments,
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
	return cmd
}

func newLogger(cfg config.Config, to io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == config.LogJSON {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}
