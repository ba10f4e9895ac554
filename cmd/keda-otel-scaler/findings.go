package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/manifest"
)

// finding is one as it is printed.
type finding struct {
	File     string `json:"file"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Severity string `json:"severity"`
	Object   string `json:"object,omitempty"`
	Field    string `json:"field,omitempty"`
	Message  string `json:"message"`

	source *manifest.Source
}

// shown is how much of a line is shown, in characters; half of it at most before
// the fault.
const shown = 120

func (all *checked) print(w io.Writer, form string) error {
	if form == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(all)
	}
	var b strings.Builder
	for _, f := range all.Unread {
		f.write(&b)
	}
	for _, f := range all.Findings {
		f.write(&b)
	}
	fmt.Fprintf(&b, "%s, %s of other kinds: ", count(all.Checked, "object"), count(all.Skipped, "object"))
	switch {
	case len(all.Unread) > 0:
		fmt.Fprintf(&b, "%d unreadable, ", len(all.Unread))
		fallthrough
	default:
		fmt.Fprintf(&b, "%s, %s\n", count(all.Errors, "error"), count(all.Warnings, "warning"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// write prints a finding as compilers do, with its line and a caret below.
func (f finding) write(b *strings.Builder) {
	if f.Line == 0 {
		fmt.Fprintf(b, "%s: %s\n", f.Severity, f.Message)
		return
	}
	fmt.Fprintf(b, "%s:%d:%d: %s: ", f.File, f.Line, f.Column, f.Severity)
	if f.Object != "" {
		fmt.Fprintf(b, "%s: %s: ", f.Object, f.Field)
	}
	fmt.Fprintln(b, f.Message)
	if f.source == nil {
		return
	}
	line, column := excerpt(f.source.Line(f.Line), f.Column)
	fmt.Fprintf(b, "%6d | %s\n       | %s^\n", f.Line, line, strings.Repeat(" ", column-1))
}

// excerpt cuts a long line around a column, and returns where that is then.
func excerpt(line string, column int) (part string, at int) {
	runes := []rune(strings.ReplaceAll(line, "\t", " "))
	if len(runes) <= shown && utf8.ValidString(line) {
		return string(runes), min(column, len(runes)+1)
	}
	begin := max(min(column-1-shown/2, len(runes)-shown), 0)
	end := min(begin+shown, len(runes))
	return string(runes[begin:end]), min(column-begin, end-begin+1)
}
