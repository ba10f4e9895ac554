package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/check"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/config"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/kserve"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/manifest"
)

const (
	// exitFaults and exitUnread are what check and render end with; the second is
	// also for a command line that can't be read.
	exitFaults = 1
	exitUnread = 2
	// maxFiles is how many files of directories are read.
	maxFiles = 10_000
)

// exitError ends the program with a code of its own; what there was to say may
// have been said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// manifests are the files that a command reads, and the cluster they are for.
type manifests struct {
	files             []string
	config, namespace string
	stdin             io.Reader
}

func (m *manifests) bind(cmd *cobra.Command) {
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return &exitError{exitUnread, fmt.Errorf("unknown argument %q; write -f %s", args[0], args[0])}
		}
		return nil
	}
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{exitUnread, err} })
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVarP(&m.files, "file", "f", nil, "`file` to read, - for the standard input; may be repeated")
	f.StringVarP(&m.namespace, "namespace", "n", "default", "`namespace` of objects that name none")
	f.StringVar(&m.config, "kserve-config", "", "`file` with KServe's ConfigMap inferenceservice-config, as kubectl get -o yaml prints it (as KServe is installed)")
	_ = cmd.MarkFlagFilename("file", "yaml", "yml", "json")
	_ = cmd.MarkFlagFilename("kserve-config", "yaml", "yml", "json")
}

// settings are KServe's.
func (m *manifests) settings() (kserve.Config, error) {
	if len(m.files) == 0 {
		return kserve.Config{}, &exitError{exitUnread, errors.New("nothing to read; give files, for example -f scaledobject.yaml, or -f - for the standard input")}
	}
	config := kserve.Defaults()
	if m.config != "" {
		file, err := os.Open(m.config)
		if err != nil {
			return config, &exitError{exitUnread, fmt.Errorf("--kserve-config: %w", err)}
		}
		defer func() { _ = file.Close() }()
		if config, err = kserve.ReadConfig(m.config, file); err != nil {
			return config, &exitError{exitUnread, fmt.Errorf("--kserve-config: %w", err)}
		}
	}
	config.Namespace = m.namespace
	return config, nil
}

// read reads one file of those that paths found.
func (m *manifests) read(path string) ([]manifest.Object, []manifest.BadDocument, error) {
	name, r := path, m.stdin
	if path == "-" {
		name = "<stdin>"
	} else {
		file, err := os.Open(path) //nolint:gosec // its user names the files
		if err != nil {
			return nil, nil, err
		}
		defer func() { _ = file.Close() }()
		r = file
	}
	_, objects, bad, err := manifest.Read(name, r)
	return objects, bad, err
}

// paths are the files, with those that are in directories.
func (m *manifests) paths() (all []string, err error) {
	for _, path := range m.files {
		info, err := os.Stat(path)
		if path == "-" || err == nil && !info.IsDir() {
			all = append(all, path)
			continue
		}
		if err != nil {
			return nil, err
		}
		err = filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
				all = append(all, path)
			}
			if len(all) > maxFiles {
				return fmt.Errorf("%s: more than %d files; give fewer at a time", path, maxFiles)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// checking is a run of check.
type checking struct {
	manifests
	service, label, output string
	maxRetention           time.Duration
	strict                 bool
}

func newCheck() *cobra.Command {
	var c checking
	cmd := &cobra.Command{
		Use:   "check -f <file>",
		Short: "Find the faults of ScaledObjects and InferenceServices in files",
		Long: "Find the faults of ScaledObjects, ScaledJobs and InferenceServices in files, with\n" +
			"what to write instead: those for which this scaler, KEDA or KServe would refuse\n" +
			"them, and what is accepted, but does something else than was meant. Queries and\n" +
			"targets are read by the parsers that answer KEDA; an InferenceService is judged\n" +
			"by what KServe v0.17 makes of it (see keda-otel-scaler render). No cluster is asked.\n\n" +
			"A file may hold many documents, Lists, and what Helm rendered; other kinds, and\n" +
			"triggers for other scalers, are passed over. A directory is read with all below\n" +
			"it that ends in .yaml, .yml or .json.\n\n" +
			"Exit codes: 0 no errors; 1 errors (with --strict, warnings too); 2 a file, or the\n" +
			"command line, could not be read.",
		Example: "  keda-otel-scaler check -f scaledobject.yaml -f inferenceservices/\n" +
			"  helm template . | keda-otel-scaler check -f -\n" +
			"  kubectl get scaledobjects,inferenceservices -A -o yaml | keda-otel-scaler check -f -\n" +
			"  keda-otel-scaler check -o json -f . | jq '.findings[] | select(.severity == \"error\")'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.stdin = cmd.InOrStdin()
			return c.run(cmd.OutOrStdout())
		},
	}
	c.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&c.service, "service", "keda-otel-scaler", "`name` of the scaler's Service; triggers to that host, or with a metricQuery, are checked")
	f.StringVar(&c.label, "enforce-namespace-label", "", "`label` of the same flag of the server that the objects are for: a query may not exclude its own namespace")
	f.DurationVar(&c.maxRetention, "max-retention", config.DefaultMaxRetention, "the same flag of the server that the objects are for: how far back the samples are stored that a trigger's query reads")
	f.BoolVar(&c.strict, "strict", false, "end with code 1 for warnings, too")
	f.StringVarP(&c.output, "output", "o", "text", "`form` of the findings: text, or json")
	complete(cmd, "output", "text\tfor people and editors", "json\tfor programs")
	return cmd
}

// checked is the outcome of a run. The JSON is it.
type checked struct {
	Findings []finding `json:"findings"`
	Unread   []finding `json:"unread"`
	Files    int       `json:"files"`
	Checked  int       `json:"checked"`
	Skipped  int       `json:"skipped"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
}

func (c *checking) run(stdout io.Writer) error {
	if c.output != "text" && c.output != "json" {
		return &exitError{exitUnread, fmt.Errorf("--output=%s: want text or json, for example --output=json", c.output)}
	}
	if c.label != "" && !config.EnforceableLabel(c.label) {
		return &exitError{exitUnread, fmt.Errorf("--enforce-namespace-label=%s: want a label as stored, of letters, digits and _, for example --enforce-namespace-label=namespace", c.label)}
	}
	if c.maxRetention <= 0 {
		return &exitError{exitUnread, fmt.Errorf("--max-retention=%s: want a duration above 0, for example --max-retention=%s", c.maxRetention, config.DefaultMaxRetention)}
	}
	settings, err := c.settings()
	if err != nil {
		return err
	}
	checker, err := check.New(check.Options{Service: c.service, Label: c.label, MaxRetention: c.maxRetention, KServe: settings})
	if err != nil {
		return err
	}
	paths, err := c.paths()
	if err != nil {
		return &exitError{exitUnread, err}
	}
	all := checked{Findings: []finding{}, Unread: []finding{}, Files: len(paths)}
	for _, path := range paths {
		objects, bad, err := c.read(path)
		if err != nil {
			all.Unread = append(all.Unread, finding{File: path, Severity: "error", Message: err.Error()})
		}
		for _, b := range bad {
			all.Unread = append(all.Unread, finding{File: b.File, Line: b.Line, Column: b.Column, Severity: "error", Message: b.Err.Error()})
		}
		for _, o := range objects {
			all.add(checker.Object(o))
		}
		if len(objects) > 0 && objects[0].Source().Err() != nil {
			all.Unread = append(all.Unread, finding{File: path, Severity: "error", Message: objects[0].Source().Err().Error()})
		}
	}
	if err := all.print(stdout, c.output); err != nil {
		return err
	}
	switch {
	case len(all.Unread) > 0:
		return &exitError{code: exitUnread}
	case all.Errors > 0 || c.strict && all.Warnings > 0:
		return &exitError{code: exitFaults}
	}
	return nil
}

func (all *checked) add(findings []check.Finding, known bool) {
	if !known {
		all.Skipped++
		return
	}
	all.Checked++
	for _, f := range findings {
		switch f.Severity {
		case check.Error:
			all.Errors++
		case check.Warning:
			all.Warnings++
		case check.Note:
		}
		all.Findings = append(all.Findings, finding{
			File: f.File, Line: f.Line, Column: f.Column, Severity: string(f.Severity),
			Object: f.Object, Field: f.Field, Message: f.Message, source: f.Source,
		})
	}
}
