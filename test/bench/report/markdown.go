package report

import (
	"fmt"
	"io"
	"strings"
)

// Page is what the Markdown file says besides the rows.
type Page struct {
	Machine []Fact
	Command string // that reproduces the page, from the repository's root
	Rows    []Row
	Methods []Fact // how each section is measured, by its name
}

// Fact is a name and what it stands for.
type Fact struct{ Name, Text string }

// Markdown writes the page.
func Markdown(w io.Writer, p Page) error {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\n" +
		"Written by `test/bench`, never by hand: the built binary beside reference servers, each a process of its own,\n" +
		"over loopback. Generator and servers share the machine, so compare figures of one run only.\n\n" +
		"```\n" + p.Command + "\n```\n\n")
	b.WriteString("| machine | |\n|---|---|\n")
	for _, f := range p.Machine {
		fmt.Fprintf(&b, "| %s | %s |\n", f.Name, escape(f.Text))
	}
	b.WriteString("\n" + Summary(p.Rows) + "\n")
	section := ""
	for _, r := range p.Rows {
		if r.Section != section {
			section = r.Section
			fmt.Fprintf(&b, "\n## %s\n\n%s| what | measured | least – most | bar | | note |\n|---|---|---|---|---|---|\n", section, p.method(section))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n",
			escape(r.What), escape(r.value()), r.spread(), r.bar(), emphasis(r.Verdict()), escape(r.Note))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (p Page) method(section string) string {
	for _, f := range p.Methods {
		if f.Name == section {
			return f.Text + "\n\n"
		}
	}
	return ""
}

// escape keeps a cell's text from ending the cell.
func escape(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func emphasis(verdict string) string {
	if verdict == "fail" {
		return "**fail**"
	}
	return verdict
}
