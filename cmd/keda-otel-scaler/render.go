package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/check"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/config"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/kserve"
)

// rendering is a run of render.
type rendering struct{ manifests }

func newRender() *cobra.Command {
	var r rendering
	cmd := &cobra.Command{
		Use:   "render -f <file>",
		Short: "Print what KServe makes of an InferenceService",
		Long: "Print what KServe's controller (v0.17) makes of the InferenceServices in files, as\n" +
			"far as scaling goes: the ScaledObject of each component, and the\n" +
			"OpenTelemetryCollector that goes into its pods. No cluster is asked, so labels and\n" +
			"annotations that a ServingRuntime adds are not there.\n\n" +
			"What KServe, KEDA or this scaler would reject is written to the standard error;\n" +
			"keda-otel-scaler check reports the rest.\n\n" +
			"Exit codes: 0 rendered; 1 something would be refused, or nothing is made; 2 a file,\n" +
			"or the command line, could not be read.",
		Example: "  keda-otel-scaler render -f isvc.yaml\n" +
			"  keda-otel-scaler render -f isvc.yaml | kubectl diff -f -\n" +
			"  kubectl get configmap -n kserve inferenceservice-config -o yaml > config.yaml\n" +
			"  keda-otel-scaler render --kserve-config config.yaml -n models -f isvc.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r.stdin = cmd.InOrStdin()
			return r.run(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	r.bind(cmd)
	return cmd
}

func (r *rendering) run(stdout, stderr io.Writer) error {
	settings, err := r.settings()
	if err != nil {
		return err
	}
	checker, err := check.New(check.Options{Service: "keda-otel-scaler", MaxRetention: config.DefaultMaxRetention, KServe: settings})
	if err != nil {
		return err
	}
	paths, err := r.paths()
	if err != nil {
		return &exitError{exitUnread, err}
	}
	out := yaml.NewEncoder(stdout)
	out.SetIndent(2)
	services, written, faults := 0, false, false
	for _, path := range paths {
		objects, bad, err := r.read(path)
		if err == nil && len(bad) > 0 {
			err = fmt.Errorf("%s: %w", bad[0].Position, bad[0].Err)
		}
		if err != nil {
			return &exitError{exitUnread, err}
		}
		for _, o := range objects {
			if !kserve.Is(o) {
				continue
			}
			services++
			findings, _ := checker.Object(o)
			faulty := tell(stderr, findings)
			made, err := emit(out, stderr, kserve.Render(o, settings))
			if err != nil {
				return err
			}
			written = written || made
			faults = faults || faulty || !made
		}
	}
	if written { // an encoder that was never used can't be closed
		if err := out.Close(); err != nil {
			return err
		}
	}
	if services == 0 {
		return &exitError{exitFaults, errors.New("there is no InferenceService in what was read; give one, for example -f isvc.yaml")}
	}
	if faults {
		return &exitError{code: exitFaults}
	}
	return nil
}

// tell prints the errors among the findings, and tells whether there are any.
func tell(stderr io.Writer, findings []check.Finding) bool {
	var all checked
	all.add(findings, true)
	var b strings.Builder
	for _, f := range all.Findings {
		if f.Severity == string(check.Error) {
			f.write(&b)
		}
	}
	_, _ = io.WriteString(stderr, b.String())
	return all.Errors > 0
}

// emit prints what is made for the components, and tells whether anything is.
func emit(out *yaml.Encoder, stderr io.Writer, components []kserve.Component) (made bool, err error) {
	for i := range components {
		p := &components[i]
		if p.ScaledObject == nil {
			_, _ = fmt.Fprintf(stderr, "%s has no ScaledObject: %s\n", p.Meta.Name, p.Why)
		} else if err := out.Encode(p.ScaledObject); err != nil {
			return made, err
		}
		if p.Collector != nil {
			if err := out.Encode(p.Collector); err != nil {
				return made, err
			}
		}
		made = made || p.ScaledObject != nil || p.Collector != nil
	}
	return made, nil
}
