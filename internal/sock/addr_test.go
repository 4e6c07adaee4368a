//go:build unix

package sock

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// An address has the form that can be listened on, and says what is spoken.
func TestParseAddress(t *testing.T) {
	for in, want := range map[string]Protocol{
		"localhost:9000":                       AnyProtocol,
		":0":                                   AnyProtocol,
		"tcp://localhost:9000":                 RawProtocol,
		"http://localhost:9000/":               HTTPProtocol,
		"unix:" + strings.Repeat("x", maxPath): AnyProtocol,
	} {
		if a, err := ParseAddress(in); err != nil || protocols[a.Scheme] != want {
			t.Errorf("ParseAddress(%q) = %+v, %v, want protocol %d", in, a, err, want)
		}
	}
	for in, says := range map[string]string{
		"ws://localhost:9000":                    "must be HOST:PORT, :PORT, tcp://HOST:PORT, http://HOST:PORT or unix:PATH",
		"http://localhost:9000/path":             "it must end after the port",
		"unix:" + strings.Repeat("x", maxPath+1): "a Unix socket's path must be at most",
	} {
		if a, err := ParseAddress(in); a != (Address{}) || err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("ParseAddress(%q) = %+v, %v, want that it says %q", in, a, err, says)
		}
	}
}

// A peer's address reads as everybody writes it.
func TestAddrString(t *testing.T) {
	v6 := netip.MustParseAddr("2001:db8::1").As16()
	local := netip.MustParseAddr("fe80::1").As16()
	mapped := netip.MustParseAddr("::ffff:192.0.2.7").As16()
	for _, c := range []struct {
		a    Addr
		want string
	}{
		{fromSockaddr(&unix.SockaddrInet4{Addr: [4]byte{192, 0, 2, 7}, Port: 5123}), "192.0.2.7:5123"},
		{fromSockaddr(&unix.SockaddrInet6{Addr: v6, Port: 80}), "[2001:db8::1]:80"},
		{fromSockaddr(&unix.SockaddrInet6{Addr: local, Port: 80, ZoneId: 3}), "[fe80::1%3]:80"},
		// An IPv4 peer of a socket for both families.
		{fromSockaddr(&unix.SockaddrInet6{Addr: mapped, Port: 5123}), "192.0.2.7:5123"},
		{fromSockaddr(&unix.SockaddrUnix{}), "unix"},
		{Addr{}, "unix"},
	} {
		if got := c.a.String(); got != c.want {
			t.Errorf("%+v is %q, want %q", c.a, got, c.want)
		}
		if c.a.IsUnix() != (c.want == "unix") {
			t.Errorf("%s: IsUnix is %v", c.want, c.a.IsUnix())
		}
		if at := c.a.AddrPort(); at.IsValid() == c.a.IsUnix() {
			t.Errorf("%s: its AddrPort is %v", c.want, at)
		}
	}
}

// The address that Accept gives is the one that the client has.
func TestAcceptKnowsThePeer(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1", ""} {
		l := listen(t, Address{Host: host})
		conn := dial(t, l)
		_, addr := acceptFrom(t, l)
		want := conn.LocalAddr().(*net.TCPAddr).AddrPort()
		if got := addr.AddrPort(); got.Port() != want.Port() || got.Addr() != want.Addr().Unmap() {
			t.Errorf("listening on %q: the peer is %s, want %s", host, addr, want)
		}
	}
	l := listen(t, Address{Path: socketPath(t)})
	dial(t, l)
	if _, addr := acceptFrom(t, l); addr.String() != "unix" {
		t.Errorf("a Unix socket's peer is %s", addr)
	}
}
