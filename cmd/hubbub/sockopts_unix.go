//go:build unix

package main

import (
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/join"
)

// freshSocket makes a socket of address's kind.
func freshSocket(address join.Address) (fd int, closeIt func(), err error) {
	family := unix.AF_INET
	if ip, err := netip.ParseAddr(address.Host); err == nil && ip.Is6() {
		family = unix.AF_INET6
	}
	if address.Network == "unix" {
		family = unix.AF_UNIX
	}
	if fd, err = unix.Socket(family, unix.SOCK_STREAM, 0); err != nil {
		return -1, nil, os.NewSyscallError("socket", err)
	}
	return fd, func() { _ = unix.Close(fd) }, nil
}
