//go:build !linux

package process

import (
	"errors"
	"syscall"
	"time"
)

var errNotLinux = errors.New("another process' CPU time and memory are read the way Linux shows them; run the benchmark there")

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// CPU is known on Linux only.
func (*Process) CPU() (time.Duration, error) { return 0, errNotLinux }

// Resident is known on Linux only.
func (*Process) Resident() (now, peak int64, err error) { return 0, 0, errNotLinux }
