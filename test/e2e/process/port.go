package process

import (
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
)

// Ports are taken from below the range the kernel gives to outgoing
// connections, so that none of those can sit on a port between the moment it is
// chosen and the moment a child listens on it, or while a peer is down.
const (
	firstPort = 10000
	lastPort  = 30000
)

// ports counts the ports tried so far.
var ports atomic.Int64

// FreeAddress returns a loopback address with a port nobody listens on and that
// no other call in this process returns.
func FreeAddress(t testing.TB) string {
	t.Helper()
	// `go test ./...` runs several test binaries at once: each begins somewhere
	// of its own.
	begin := int64(os.Getpid()) * 131
	for range lastPort - firstPort {
		port := firstPort + int((begin+ports.Add(1))%(lastPort-firstPort))
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if free(address) {
			return address
		}
	}
	t.Fatal("no free port on the loopback interface")
	return ""
}

// free tells whether nobody listens on address. A child that another test starts
// meanwhile would have the socket until it is its own program: with a Collector
// of 160 MB that was long enough to find the port taken.
func free(address string) bool {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	l, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}
