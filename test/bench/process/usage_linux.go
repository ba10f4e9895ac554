package process

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// attributes makes the kernel kill the process when the benchmark dies of
// something that runs no deferred calls.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// CPU returns the user and system time of all threads the process ever had.
// It is the sum that /proc/PID/stat shows, from the clock behind it: stat counts
// in hundredths of a second, and a gateway request takes a tenth of one.
func (p *Process) CPU() (time.Duration, error) {
	const perProcessSched = 2 // CPUCLOCK_SCHED of include/linux/posix-timers.h
	clock := int32(^p.cmd.Process.Pid)<<3 | perProcessSched
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("the CPU clock of %s: %w; it said:\n%s", p.name, err, p.Said())
	}
	return time.Duration(ts.Nano()), nil
}

// Resident returns the memory of the process that is in RAM, and the most that
// ever was, in bytes.
func (p *Process) Resident() (now, peak int64, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		switch key {
		case "VmRSS":
			now, err = kibibytes(value)
		case "VmHWM":
			peak, err = kibibytes(value)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("%s of %s: %w", key, p.name, err)
		}
	}
	if now == 0 || peak == 0 {
		return 0, 0, fmt.Errorf("%s has no resident memory: it ended; it said:\n%s", p.name, p.Said())
	}
	return now, peak, nil
}

func kibibytes(value string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
	return n << 10, err
}
