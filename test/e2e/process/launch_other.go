//go:build !linux

package process

import (
	"os/exec"
	"syscall"
)

// attributes has no parent-death signal here: a test binary that dies of a
// timeout leaves its children behind.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// Launch starts cmd.
func Launch(cmd *exec.Cmd) error { return cmd.Start() }
