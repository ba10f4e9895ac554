package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

var header = []string{"what", "measured", "least – most", "bar", ""}

// Terminal writes the rows as an aligned table, a block for each section.
func Terminal(w io.Writer, rows []Row) error {
	cells := make([][]string, 0, len(rows)+1)
	cells = append(cells, header)
	for _, r := range rows {
		cells = append(cells, r.cells())
	}
	widths := make([]int, len(header))
	for _, line := range cells {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	b.WriteString(align(header, widths))
	section := ""
	for _, r := range rows {
		if r.Section != section {
			section = r.Section
			fmt.Fprintf(&b, "\n%s\n", section)
		}
		b.WriteString(align(r.cells(), widths))
	}
	b.WriteString("\n" + Summary(rows) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Row) cells() []string {
	return []string{"  " + r.What, r.value(), r.spread(), r.bar(), r.Verdict()}
}

func align(cells []string, widths []int) string {
	var b strings.Builder
	for i, cell := range cells {
		if i > 0 {
			b.WriteString("  ")
		}
		b.WriteString(cell)
		b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

// Summary counts the verdicts.
func Summary(rows []Row) string {
	counts := map[string]int{}
	bars := 0
	for _, r := range rows {
		if v := r.Verdict(); v != "" {
			counts[v]++
			bars++
		}
	}
	if bars == 0 {
		return "No bars at these sizes."
	}
	return fmt.Sprintf("Bars: %d, %d met, %d missed, %d not measured.", bars, counts["pass"], counts["fail"], counts["not measured"])
}
