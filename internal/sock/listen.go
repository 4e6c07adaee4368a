//go:build unix

package sock

// This file opens listening sockets:
//
//	ParseAddress   parses what the user wrote
//	Listen         opens a socket per address: a name may have several
//	Listener.Close removes a Unix socket's file, if it is still ours

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/address"
)

// backlog is how many connections may wait for accept; the kernel's own limit
// (net.core.somaxconn) is often lower.
const backlog = 4096

// Address is what a user asks to listen on. Host "" means every address, port 0
// any free one.
type Address = address.Address

// Protocol is what is spoken at an address.
type Protocol uint8

const (
	AnyProtocol  Protocol = iota // the first bytes tell
	RawProtocol                  // tcp://
	HTTPProtocol                 // http://
)

var protocols = map[string]Protocol{"tcp": RawProtocol, "http": HTTPProtocol}

// maxPath is the longest path that fits a sockaddr_un (unix(7)).
const maxPath = len(unix.RawSockaddrUnix{}.Path) - 1

// ParseAddress reads HOST:PORT, :PORT, tcp://HOST:PORT, http://HOST:PORT or
// unix:PATH.
func ParseAddress(s string) (Address, error) {
	a, err := address.Parse(s, "tcp", "http")
	switch {
	case err != nil:
		return Address{}, err
	case a.Target != "":
		return Address{}, fmt.Errorf("address %q: it must end after the port", s)
	case len(a.Path) > maxPath:
		return Address{}, fmt.Errorf("address %q: a Unix socket's path must be at most %d bytes long, this has %d", s, maxPath, len(a.Path))
	}
	return a, nil
}

// Config says how listening sockets are made.
type Config struct {
	// Set is called with each socket before it is bound.
	Set func(fd int, isUnix bool) error
	// UnixMode is a Unix socket's mode; it applies before any client can connect.
	UnixMode fs.FileMode
}

// Listener is one listening socket.
type Listener struct {
	FD       int
	Unix     bool
	Protocol Protocol
	name     string
	file     *socketFile // a Unix socket's; nil for TCP
}

// String returns the address in force: "127.0.0.1:9000", "[::1]:9000", "unix:/run/hub".
func (l *Listener) String() string { return l.name }

// Close stops listening and removes a Unix socket's file.
func (l *Listener) Close() error {
	if l.file != nil {
		l.file.remove()
	}
	return Close(l.FD)
}

// Listen opens a socket for every address of a. If a host name has addresses
// of both families, it listens on both, on the same port even if that was 0.
// It skips a family that the host lacks.
func Listen(ctx context.Context, a Address, c Config) ([]*Listener, error) {
	if a.Path != "" {
		l, err := listenUnix(a.Path, c)
		if err != nil {
			return nil, fmt.Errorf("listen %s: %w", a, err)
		}
		return []*Listener{l}, nil
	}
	ips, err := resolve(ctx, a.Host)
	if err != nil {
		return nil, fmt.Errorf("listen tcp %s: %w", a, err)
	}
	ls, err := listenAll(ips, a.Port, c)
	for _, l := range ls {
		l.Protocol = protocols[a.Scheme]
	}
	return ls, err
}

// resolve returns the addresses to listen on. The unspecified IPv6 address
// serves IPv4 too.
func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if host == "" {
		return []netip.Addr{netip.IPv6Unspecified()}, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, ip := range ips {
		if ip = ip.Unmap(); !slices.Contains(out, ip) {
			out = append(out, ip)
		}
	}
	return out, nil
}

// listenAll listens on every address, or on none. With port 0 the first socket
// chooses the port for all. If that port is taken in another family, listenAll
// tries again.
func listenAll(ips []netip.Addr, port uint16, c Config) ([]*Listener, error) {
	const tries = 20
	for try := 1; ; try++ {
		ls, err := tryAll(ips, port, c)
		if err == nil || port != 0 || !errors.Is(err, unix.EADDRINUSE) || try == tries {
			return ls, err
		}
	}
}

func tryAll(ips []netip.Addr, port uint16, c Config) ([]*Listener, error) {
	var ls []*Listener
	var missing error
	for _, ip := range ips {
		l, err := listenTCP(ip, port, c)
		if isMissing(err) && len(ips) > 1 {
			missing = errors.Join(missing, err)
			continue
		}
		if err != nil {
			for _, l := range ls {
				_ = l.Close()
			}
			return nil, err
		}
		ls = append(ls, l)
		if port == 0 {
			ap, _ := netip.ParseAddrPort(l.name)
			port = ap.Port()
		}
	}
	if len(ls) == 0 {
		return nil, missing
	}
	return ls, nil
}

// isMissing reports whether the host lacks the address or its family.
func isMissing(err error) bool {
	return errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT)
}

func listenTCP(ip netip.Addr, port uint16, c Config) (*Listener, error) {
	l, err := bindTCP(ip, port, c)
	if isMissing(err) && ip == netip.IPv6Unspecified() {
		// A host without IPv6: every address is every IPv4 address.
		return listenTCP(netip.IPv4Unspecified(), port, c)
	}
	if err != nil {
		return nil, fmt.Errorf("listen tcp %s: %w", netip.AddrPortFrom(ip, port), err)
	}
	return l, nil
}

func bindTCP(ip netip.Addr, port uint16, c Config) (*Listener, error) {
	sa, family, err := sockaddr(ip, port)
	if err != nil {
		return nil, err
	}
	fd, err := socket(family)
	if err != nil {
		return nil, err
	}
	if err := prepareTCP(fd, ip, c); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if err := bindListen(fd, sa); err != nil {
		unix.Close(fd)
		return nil, err
	}
	local, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("getsockname", err)
	}
	return &Listener{FD: fd, name: fromSockaddr(local).String()}, nil
}

// prepareTCP sets the options that bind(2) needs.
func prepareTCP(fd int, ip netip.Addr, c Config) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt SO_REUSEADDR", err)
	}
	if ip.Is6() {
		// Both families for every address, else this one alone: the other
		// may be someone else's.
		only := 1
		if ip.IsUnspecified() {
			only = 0
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil && only == 1 {
			return os.NewSyscallError("setsockopt IPV6_V6ONLY", err)
		}
	}
	if c.Set == nil {
		return nil
	}
	return c.Set(fd, false)
}

func bindListen(fd int, sa unix.Sockaddr) error {
	if err := unix.Bind(fd, sa); err != nil {
		return os.NewSyscallError("bind", err)
	}
	return os.NewSyscallError("listen", unix.Listen(fd, backlog))
}

func sockaddr(ip netip.Addr, port uint16) (unix.Sockaddr, int, error) {
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(port), Addr: ip.As4()}, unix.AF_INET, nil
	}
	zone := uint32(0)
	if name := ip.Zone(); name != "" {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			n, numErr := strconv.ParseUint(name, 10, 32)
			if numErr != nil {
				return nil, 0, fmt.Errorf("zone %q: %w", name, err)
			}
			zone = uint32(n)
		} else {
			zone = uint32(ifi.Index)
		}
	}
	return &unix.SockaddrInet6{Port: int(port), Addr: ip.As16(), ZoneId: zone}, unix.AF_INET6, nil
}
