package manifest

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Position is a place in a file. Lines and columns count from 1, columns in
// characters.
type Position struct {
	File         string
	Line, Column int
}

// String writes it as compilers do, which editors follow.
func (p Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Position is where the node begins; if it is absent, what it would be in.
func (x Node) Position() Position {
	n := x.n
	if n == nil {
		n = x.in
	}
	if n == nil || x.src == nil {
		return Position{}
	}
	// YAML breaks lines at a lone carriage return, too; nothing else does.
	return Position{x.src.Name, min(n.Line+x.offset, len(x.src.lines)), n.Column}
}

// At is where the offset-th byte of a scalar's text stands. Where the way from
// the text to the file is long, as in folded scalars, it is where the scalar
// begins.
func (x Node) At(offset int) Position {
	p := x.Position()
	if x.n == nil || x.n.Kind != yaml.ScalarNode || offset < 0 || offset > len(x.n.Value) {
		return p
	}
	line := x.src.Line(p.Line)
	before := x.n.Value[:offset]
	switch {
	case x.n.Style&yaml.LiteralStyle != 0:
		return x.inBlock(p, before)
	case x.n.Style&(yaml.FoldedStyle) != 0:
		return p
	case x.n.Style&yaml.SingleQuotedStyle != 0:
		before = "'" + strings.ReplaceAll(before, "'", "''")
	case x.n.Style&yaml.DoubleQuotedStyle != 0:
		before = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(before)
	}
	// Other escapes, and scalars of several lines, are not as they are here.
	if begin := byteOf(line, p.Column); strings.HasPrefix(line[begin:], before) {
		p.Column += utf8.RuneCountInString(before)
	}
	return p
}

// inBlock follows a literal block, whose lines are those of its text, indented.
func (x Node) inBlock(p Position, before string) Position {
	at := p
	at.Line += 1 + strings.Count(before, "\n")
	last := before[strings.LastIndexByte(before, '\n')+1:]
	line := x.src.Line(at.Line)
	indent := len(line) - len(strings.TrimLeft(line, " "))
	if first := x.src.Line(p.Line + 1); strings.TrimSpace(first) != "" {
		indent = min(indent, len(first)-len(strings.TrimLeft(first, " ")))
	}
	if !strings.HasPrefix(line[indent:], last) {
		return p
	}
	at.Column = 1 + utf8.RuneCountInString(line[:indent]+last)
	return at
}

// byteOf is where a column begins in a line.
func byteOf(line string, column int) int {
	for i := range line {
		if column--; column == 0 {
			return i
		}
	}
	return len(line)
}
