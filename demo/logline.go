package main

import (
	"strconv"
	"strings"
)

// parseLogLine reads one line of slog's text format, key=value with values
// quoted where they have to be. What it cannot read it leaves out: a panic's
// stack is a line too.
func parseLogLine(line string) map[string]string {
	fields := make(map[string]string)
	for {
		key, rest, ok := strings.Cut(strings.TrimLeft(line, " "), "=")
		if !ok || strings.ContainsAny(key, " \"") {
			return fields
		}
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			fields[key], line, _ = strings.Cut(rest, " ")
			continue
		}
		fields[key], _ = strconv.Unquote(quoted) // a valid prefix always unquotes
		line = rest[len(quoted):]
	}
}
