// Package sandbox moves a test binary into a network and a mount namespace of
// its own: only a loopback device, every port free, a hosts file with the names
// that a cluster's DNS would know, and nothing that could reach the machine or
// be reached from it. The kernel takes all of it back when the last process
// ends, however it ends, so there is nothing to clean up.
//
// Without root it asks for a user namespace as well.
package sandbox

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
)

// What a copy of the test binary is to be is told through its environment.
const (
	insideVar  = "SANDBOX_INSIDE"  // anything: the sandbox is around us, finish it and run the tests
	hostsVar   = "SANDBOX_HOSTS"   // a file to mount as /etc/hosts
	programVar = "SANDBOX_PROGRAM" // what to become after that
)

// Options say what the sandbox is like.
type Options struct {
	Hosts   string       // of /etc/hosts
	Network string       // in CIDR notation: every address in it is local, as 127/8 is
	Prepare func() error // runs outside, where there is a network
}

// Main is for TestMain: it returns the exit code of run, which it calls within
// the sandbox, in a process of its own.
func Main(o Options, run func() int) int {
	var err error
	code := 0
	switch {
	case os.Getenv(programVar) != "":
		err = become(os.Getenv(programVar), os.Getenv(hostsVar))
	case os.Getenv(insideVar) != "":
		if err = furnish(o); err == nil {
			code = run()
		}
	default:
		if err = o.Prepare(); err == nil {
			code, err = enter()
		}
	}
	if err != nil {
		log.Print("sandbox: ", err)
		return 1
	}
	return code
}

// WithHosts has spec run in a mount namespace where hosts is /etc/hosts. The
// program has to be started by a test binary whose TestMain calls Main.
func WithHosts(spec process.Spec, hosts string) process.Spec {
	spec.Env = append(spec.Env, programVar+"="+spec.Path, hostsVar+"="+hosts)
	spec.Path = "/proc/self/exe"
	return spec
}

// enter runs this binary again, with the same arguments, in new namespaces.
func enter() (int, error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), insideVar+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	// go test interrupts this process only; the tests should hear of it too.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := process.Launch(cmd); err != nil {
		return 0, fmt.Errorf("no namespaces of our own; run as root, or allow user namespaces: %w", err)
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		err = nil
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code, err
	}
	return 1, fmt.Errorf("the tests ended with %s", cmd.ProcessState)
}

// furnish sets up the namespaces that this process was started in.
func furnish(o Options) error {
	dir, err := os.MkdirTemp("", "sandbox")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the mount keeps the file
	hosts := filepath.Join(dir, "hosts")
	if err := os.WriteFile(hosts, []byte(o.Hosts), 0o644); err != nil {
		return err
	}
	if err := mountHosts(hosts); err != nil {
		return err
	}
	if err := SetLoopback(true); err != nil {
		return err
	}
	return addNetwork(o.Network)
}

// become turns this process into program, in a mount namespace of its own.
func become(program, hosts string) error {
	runtime.LockOSThread() // what is unshared is this thread's, and it has to be the one that execs
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare the mounts: %w", err)
	}
	if err := mountHosts(hosts); err != nil {
		return err
	}
	err := syscall.Exec(program, append([]string{program}, os.Args[1:]...), os.Environ())
	return fmt.Errorf("exec %s: %w", program, err)
}

func mountHosts(file string) error {
	// What is mounted below must not show up in the namespace we come from.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	// The sandbox's own may be there already, and its file is gone.
	_ = unix.Unmount("/etc/hosts", unix.MNT_DETACH)
	if err := unix.Mount(file, "/etc/hosts", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s as /etc/hosts: %w", file, err)
	}
	return nil
}
