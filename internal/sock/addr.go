//go:build unix

package sock

import (
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// Addr is a peer's address in 24 bytes without a pointer: every client has
// one. The zero value is the peer of a Unix socket, which has no name.
type Addr struct {
	ip    [16]byte // an IPv4 address as RFC 4291 maps it
	scope uint32
	port  uint16
	inet  bool
}

// String is "192.0.2.7:5123", "[2001:db8::1]:5123" or "unix".
func (a Addr) String() string {
	if !a.inet {
		return "unix"
	}
	return a.AddrPort().String()
}

// AddrPort converts a to a netip.AddrPort, which is invalid for a Unix socket.
func (a Addr) AddrPort() netip.AddrPort {
	if !a.inet {
		return netip.AddrPort{}
	}
	ip := netip.AddrFrom16(a.ip).Unmap()
	if a.scope != 0 {
		ip = ip.WithZone(strconv.Itoa(int(a.scope)))
	}
	return netip.AddrPortFrom(ip, a.port)
}

// AddrFrom returns the inverse of AddrPort.
func AddrFrom(a netip.AddrPort) Addr {
	if !a.IsValid() {
		return Addr{}
	}
	scope, _ := strconv.ParseUint(a.Addr().Zone(), 10, 32)
	return Addr{ip: a.Addr().As16(), port: a.Port(), scope: uint32(scope), inet: true}
}

// fromSockaddr converts a local address that getsockname(2) returned.
func fromSockaddr(sa unix.Sockaddr) Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return Addr{ip: netip.AddrFrom4(sa.Addr).As16(), port: uint16(sa.Port), inet: true}
	case *unix.SockaddrInet6:
		return Addr{ip: sa.Addr, port: uint16(sa.Port), scope: sa.ZoneId, inet: true}
	}
	return Addr{}
}

// IsUnix reports whether the peer connected over a Unix socket.
func (a Addr) IsUnix() bool { return !a.inet }

// IsLocal reports whether the peer is on this machine: it connected over a Unix
// socket or loopback.
func (a Addr) IsLocal() bool { return !a.inet || netip.AddrFrom16(a.ip).Unmap().IsLoopback() }
