package process

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// attributes makes the kernel kill the child when the test binary dies of a
// timeout or a panic, which run no cleanups.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

var launcher = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		// Pdeathsig is sent when the thread that forked ends, not the process:
		// one thread that never ends starts every child.
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// Launch starts cmd so that it dies with this process, if its SysProcAttr says
// so: from a thread that never ends.
func Launch(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	launcher() <- func() { started <- cmd.Start() }
	return <-started
}
