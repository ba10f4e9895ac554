// Package process runs the servers that are measured: each a process in a
// process group of its own, with an empty environment so that no setting of the
// caller's shell (GOGC, GOMAXPROCS) finds its way into a figure, and always
// killed and waited for in the end. It reads what the kernel says of them.
package process

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// startTimeout bounds the wait for a server to listen.
const startTimeout = 30 * time.Second

// Group owns the processes it starts.
type Group struct {
	work chan func()

	mu      sync.Mutex // guards what follows
	members []*Process
}

// NewGroup returns an empty group. The caller must Close it.
func NewGroup() *Group {
	g := &Group{work: make(chan func())}
	go func() {
		// The kernel sends the parent-death signal when the thread that forked
		// ends, not the process: one thread starts them all and stays.
		runtime.LockOSThread()
		for f := range g.work {
			f()
		}
	}()
	return g
}

// Close kills what still runs and waits for it.
func (g *Group) Close() {
	g.mu.Lock()
	members := g.members
	g.members = nil
	g.mu.Unlock()
	for _, p := range members {
		p.Stop()
	}
	close(g.work)
}

// Spec says what to run.
type Spec struct {
	Name    string // in messages
	Path    string
	Args    []string // without the binary's name
	Servers []string // it listens as these, and tells so on stderr
}

// Start runs spec and waits until every server of it listens.
func (g *Group) Start(ctx context.Context, spec Spec) (*Process, error) {
	p := &Process{
		name:      spec.Name,
		cmd:       exec.Command(spec.Path, spec.Args...),
		addresses: map[string]string{},
		listening: make(chan struct{}),
		ended:     make(chan struct{}),
	}
	for _, server := range spec.Servers {
		p.addresses[server] = ""
	}
	p.cmd.Env = []string{} // nil would be ours
	p.cmd.SysProcAttr = attributes()
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error, 1)
	g.work <- func() { started <- p.cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", spec.Name, err)
	}
	g.mu.Lock()
	g.members = append(g.members, p)
	g.mu.Unlock()
	go p.follow(stderr)

	timeout, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-p.listening:
		return p, nil
	case <-p.ended:
		err = fmt.Errorf("%s ended before it listened; it said:\n%s", spec.Name, p.Said())
	case <-timeout.Done():
		err = fmt.Errorf("%s does not listen: %w; it said:\n%s", spec.Name, timeout.Err(), p.Said())
	}
	p.Stop()
	return nil, err
}
