package main

import (
	_ "net" // starts Winsock
	"net/netip"
	"os"

	"golang.org/x/sys/windows"

	"hubbub.example/internal/join"
)

// freshSocket makes a socket of address's kind.
func freshSocket(address join.Address) (fd int, closeIt func(), err error) {
	family := windows.AF_INET
	if ip, err := netip.ParseAddr(address.Host); err == nil && ip.Is6() {
		family = windows.AF_INET6
	}
	if address.Network == "unix" {
		family = windows.AF_UNIX
	}
	h, err := windows.Socket(family, windows.SOCK_STREAM, 0)
	if err != nil {
		return -1, nil, os.NewSyscallError("socket", err)
	}
	return int(h), func() { _ = windows.Closesocket(h) }, nil
}
