package sandbox

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// SetLoopback takes the sandbox's only network device up or down. While it is
// down nothing reaches anything, and connections are not told so.
func SetLoopback(up bool) error {
	var flags uint16
	if up {
		flags = unix.IFF_UP
	}
	return configure("lo", func(socket int, request *unix.Ifreq) error {
		request.SetUint16(flags)
		return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
	})
}

// addNetwork gives the loopback device a second network.
func addNetwork(cidr string) error {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return err
	}
	return configure("lo:1", func(socket int, request *unix.Ifreq) error {
		if err := request.SetInet4Addr(prefix.Addr().AsSlice()); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(socket, unix.SIOCSIFADDR, request); err != nil {
			return err
		}
		if err := request.SetInet4Addr(net.CIDRMask(prefix.Bits(), 32)); err != nil {
			return err
		}
		return unix.IoctlIfreq(socket, unix.SIOCSIFNETMASK, request)
	})
}

func configure(device string, change func(socket int, request *unix.Ifreq) error) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(socket) }()
	request, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	if err := change(socket, request); err != nil {
		return fmt.Errorf("network device %s: %w", device, err)
	}
	return nil
}
