package process

import (
	"bufio"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// keptLines is how much of what a process says is kept for an error message.
const keptLines = 20

// Process is a running or ended server.
type Process struct {
	name      string
	cmd       *exec.Cmd
	addresses map[string]string // by server; complete once listening is closed
	listening chan struct{}
	ended     chan struct{} // closed once it was waited for

	mu    sync.Mutex // guards what follows
	lines []string
}

// Address returns where a server of the process listens.
func (p *Process) Address(server string) string { return p.addresses[server] }

// Stop kills the process and whatever it started, and waits for it. Nothing
// measured here depends on an orderly end, and a killed one can't hang.
func (p *Process) Stop() {
	select {
	case <-p.ended:
		return
	default:
	}
	// It may have ended meanwhile; its number is ours until it was waited for.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// Said returns the last lines the process wrote.
func (p *Process) Said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

func (p *Process) follow(stderr io.Reader) {
	defer close(p.ended)
	missing := len(p.addresses)
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		p.keep(lines.Text())
		server, address, ok := parseListening(lines.Text())
		if !ok || missing == 0 {
			continue
		}
		if known, wanted := p.addresses[server]; wanted && known == "" {
			p.addresses[server] = address
			if missing--; missing == 0 {
				close(p.listening)
			}
		}
	}
	// A line too long for the scanner ends it; the process must not block on a
	// full pipe.
	_, _ = io.Copy(io.Discard, stderr)
	_ = p.cmd.Wait() // it was killed, which we know
}

func (p *Process) keep(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lines) == keptLines {
		p.lines = append(p.lines[:0], p.lines[1:]...)
	}
	p.lines = append(p.lines, line)
}

// parseListening reads `... msg=listening server=NAME address=HOST:PORT`.
func parseListening(line string) (server, address string, ok bool) {
	for field := range strings.FieldsSeq(line) {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "msg":
			ok = value == "listening"
		case "server":
			server = value
		case "address":
			address = value
		}
	}
	return server, address, ok && server != "" && address != ""
}
