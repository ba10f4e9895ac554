// Package process runs the peers of an end-to-end test as child processes: each
// in a process group of its own, its output in a file that is kept when the
// test fails, and always waited for, since a signal also "reaches" a zombie.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// exitTimeout bounds the wait for a process that was told to end.
const exitTimeout = 15 * time.Second

// tailLines is how much of a log a failing test prints; the file has the rest.
const tailLines = 60

// Spec says what to run.
type Spec struct {
	Name string   // of the log file, unique within the test
	Path string   // of the binary
	Args []string // without the binary's name
	Env  []string // added to the test's own environment
	Logs string   // folder under which logs of failed tests stay
}

// Process is a running or ended child. Its methods may be called from any
// goroutine.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd

	done chan struct{} // closed once Wait has returned
	err  error         // of Wait; read only after done
}

// Start runs spec and ends it with the test. It fails the test when the binary
// cannot be started; whether it is of any use is for the caller to poll.
func Start(t testing.TB, spec Spec) *Process {
	t.Helper()
	dir := filepath.Join(spec.Logs, strings.NewReplacer("/", "_", " ", "_").Replace(t.Name()))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := &Process{name: spec.Name, log: filepath.Join(dir, spec.Name+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(spec.Path, spec.Args...)
	p.cmd.Env = append(os.Environ(), spec.Env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = attributes()
	if err := Launch(p.cmd); err != nil {
		t.Fatalf("start %s: %v", spec.Name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		_ = out.Close()
		close(p.done)
	}()
	t.Cleanup(func() { p.cleanup(t, dir) })
	return p
}

// Exited is closed when the process has ended and been waited for.
func (p *Process) Exited() <-chan struct{} { return p.done }

// Terminate asks the process to end as a kubelet does, waits for it and returns
// its exit code, -1 when a signal ended it.
func (p *Process) Terminate(t testing.TB) int {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	return p.join(t)
}

// Kill ends the process as the kernel's out-of-memory killer does.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	p.join(t)
}

// Signal sends SIGTERM without waiting: the caller watches Exited.
func (p *Process) Signal(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
}

// Pid returns the child's.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// ExitCode may be called once Exited is closed.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Log returns what the process has written so far.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Tail returns the last lines of Log.
func (p *Process) Tail() string { return tail(p.Log()) }

// signal reaches the whole group, so that nothing the child started stays.
func (p *Process) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	select {
	case <-p.done:
		return
	default:
	}
	if err := syscall.Kill(-p.cmd.Process.Pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Errorf("%s: %s: %v", p.name, sig, err)
	}
}

func (p *Process) join(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(exitTimeout):
		t.Fatalf("%s still runs %s after it was told to end", p.name, exitTimeout)
	}
	return p.ExitCode()
}

func (p *Process) cleanup(t testing.TB, dir string) {
	p.signal(t, syscall.SIGKILL)
	<-p.done
	if t.Failed() {
		t.Logf("%s ended with %q; the end of %s:\n%s", p.name, fmt.Sprint(p.err), p.log, p.Tail())
		return
	}
	_ = os.Remove(p.log)
	_ = os.Remove(dir) // succeeds with the last log of the test
}

func tail(s string) string {
	lines := bytes.Split([]byte(s), []byte("\n"))
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return string(bytes.Join(lines, []byte("\n")))
}
