package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/process"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/report"
)

// runLimit bounds the whole, with room for a slow machine under -full.
const runLimit = 45 * time.Minute

// needsFull is why a row has no value.
const needsFull = "needs -full"

// bench is one invocation.
type bench struct {
	options
	sizes
	binary   string // the product
	self     string // the reference servers
	group    *process.Group
	progress io.Writer
	begin    time.Time
}

// section is one part of the benchmark.
type section struct {
	name    string // as -only knows it
	title   string // as its rows are headed
	method  string
	measure func(*bench, context.Context) ([]report.Row, error)
}

var measured = []section{
	{ingest, "Ingest", ingestMethod, (*bench).ingest},
	{queries, "Queries", queriesMethod, (*bench).queries},
	{push, pushSection, pushMethod, (*bench).push},
	{burst, burstSection, burstMethod, (*bench).burst},
	{memory, "Memory", memoryMethod, (*bench).memory},
	{standing, standingSection, standingMethod, (*bench).standing},
}

// run measures, prints the table to out and, if asked to, writes the page.
func run(ctx context.Context, o options, out, progress io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	if o.write != "" {
		if _, err := os.Stat(filepath.Dir(o.write)); err != nil {
			return fmt.Errorf("-write: %w", err)
		}
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, sizes: o.sizes(), group: process.NewGroup(), progress: progress, begin: time.Now()}
	defer b.group.Close()
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	b.say("building %s", product)
	if b.binary, err = buildProduct(ctx, o.root, dir); err != nil {
		return err
	}
	page := report.Page{Command: o.command()}
	if page.Machine, err = machine(ctx, o.root, b.binary); err != nil {
		return err
	}
	var failed []error // no file is written then: it would lack a section
	for _, s := range measured {
		page.Methods = append(page.Methods, report.Fact{Name: s.title, Text: s.method})
		if !o.runs(s.name) {
			continue
		}
		rows, err := s.measure(b, ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", s.name, cmp.Or(err, ctx.Err()))
		}
		if err != nil {
			// What the other sections say is still worth having.
			failed = append(failed, fmt.Errorf("%s: %w", s.name, err))
			b.say("%s: %v", s.name, err)
		}
		page.Rows = append(page.Rows, rows...)
	}
	b.say("done")
	if err := report.Terminal(out, page.Rows); err != nil {
		return err
	}
	if o.write != "" && failed == nil {
		return write(o.write, page)
	}
	return errors.Join(failed...)
}

// write replaces the file only by a whole one.
func write(path string, page report.Page) error {
	var b strings.Builder
	if err := report.Markdown(&b, page); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".bench-")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.WriteString(b.String())
	if closed := temporary.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Chmod(temporary.Name(), 0o644)
	}
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

// say tells what is going on, which the table does only in the end.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "%5.0fs  %s\n", time.Since(b.begin).Seconds(), fmt.Sprintf(format, args...))
}

// bar is the most a figure may be; nothing is promised for the sizes of -quick.
func (b *bench) bar(limit float64) *report.Bar {
	if b.quick {
		return nil
	}
	return &report.Bar{Limit: limit}
}

// below is a bar that must not be reached.
func (b *bench) below(limit float64) *report.Bar {
	bar := b.bar(limit)
	if bar != nil {
		bar.Below = true
	}
	return bar
}

// count writes a round number of things shortly.
func count(n int) string {
	switch {
	case n >= million && n%million == 0:
		return fmt.Sprintf("%dM", n/million)
	case n >= 1000 && n%1000 == 0:
		return fmt.Sprintf("%dk", n/1000)
	default:
		return fmt.Sprint(n)
	}
}
