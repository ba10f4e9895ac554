package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// frame is what one second of the demo looks like.
type frame struct {
	elapsed time.Duration
	load    int // requests the users have in flight
	reading reading
	hold    error // the scaler's error that keeps the replicas as they are
	desired int
	pods    []podState

	sampleAge time.Duration // of the newest sample; negative before the first
	stream    *streamMessage
}

type podState struct {
	name             string
	running, waiting int64
}

// streamMessage is the latest StreamIsActive message; latency is how long
// after the push it came, 0 where no push caused it.
type streamMessage struct {
	active  bool
	latency time.Duration
}

// screen shows frames and notes: on a terminal as a table redrawn in place
// below the notes, anywhere else as one line each.
type screen struct {
	terminal bool

	mu      sync.Mutex // guards what follows: notes come from several goroutines
	out     io.Writer
	table   []string // as drawn now, below which the cursor stands
	history history
}

func newScreen(out io.Writer, terminal bool) *screen {
	return &screen{out: out, terminal: terminal}
}

const (
	// A wrapped line would make the table taller than the cursor goes up.
	noWrapNoCursor = "\x1b[?7l\x1b[?25l"
	wrapAndCursor  = "\x1b[?7h\x1b[?25h"
	clearLine      = "\x1b[K"
	clearBelow     = "\x1b[J"
)

func (s *screen) show(f frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.terminal {
		fmt.Fprintln(s.out, plainLine(f))
		return
	}
	s.history.add(f)
	s.redraw("", tableLines(f, &s.history))
}

func (s *screen) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if !s.terminal {
		fmt.Fprintln(s.out, "#", text)
		return
	}
	// Notes may wrap: the table is cleared first and drawn again below.
	s.redraw(wrapAndCursor+clearBelow+text+"\n", s.table)
}

// redraw replaces the table by above and a table, in one write so that no
// half of it shows.
func (s *screen) redraw(above string, table []string) {
	var b strings.Builder
	if len(s.table) > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r", len(s.table))
	}
	b.WriteString(above + noWrapNoCursor)
	for _, line := range table {
		b.WriteString(line + clearLine + "\n")
	}
	b.WriteString(clearBelow)
	s.table = table
	io.WriteString(s.out, b.String())
}

// close gives the terminal back; the last table stays.
func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal {
		io.WriteString(s.out, wrapAndCursor)
	}
}
