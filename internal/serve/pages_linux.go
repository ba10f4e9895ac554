package serve

import "syscall"

const prSetTHPDisable = 41 // linux/prctl.h

// smallPages declines the huge pages that some nodes' kernels give to everybody
// (/sys/kernel/mm/transparent_hugepage/enabled is "always"). The kernel fills in
// again, as zeroes, what Go's runtime has just returned, so the process outgrows
// GOMEMLIMIT, by a fifth when it is busy: more than a container's limit has left.
func smallPages() error {
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetTHPDisable, 1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
