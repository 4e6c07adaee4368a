//go:build unix

package sock

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseAddressReadsWhatIsMeant(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Address
	}{
		{"localhost:9000", Address{Host: "localhost", Port: 9000}},
		{"127.0.0.1:0", Address{Host: "127.0.0.1"}},
		{":9000", Address{Port: 9000}},
		{":0", Address{}},
		{"[::1]:9000", Address{Host: "::1", Port: 9000}},
		{"[fe80::1%eth0]:65535", Address{Host: "fe80::1%eth0", Port: 65535}},
		{"tcp://localhost:9000", Address{Host: "localhost", Port: 9000, Protocol: RawProtocol}},
		{"http://localhost:9000", Address{Host: "localhost", Port: 9000, Protocol: HTTPProtocol}},
		{"http://localhost:9000/", Address{Host: "localhost", Port: 9000, Protocol: HTTPProtocol}},
		{"tcp://:9000", Address{Port: 9000, Protocol: RawProtocol}},
		{"tcp://unix:9000", Address{Host: "unix", Port: 9000, Protocol: RawProtocol}},
		{"unix:/run/hub.sock", Address{Path: "/run/hub.sock"}},
		{"unix:hub", Address{Path: "hub"}},
		{"unix:a:b", Address{Path: "a:b"}},
		{"unix:9000", Address{Path: "9000"}},
		{"unix:" + strings.Repeat("x", maxPath), Address{Path: strings.Repeat("x", maxPath)}},
	} {
		got, err := ParseAddress(c.in)
		if err != nil || got != c.want {
			t.Errorf("ParseAddress(%q) = %+v, %v, want %+v", c.in, got, err, c.want)
		}
	}
}

// What is wrong with an address comes with what would be right.
func TestParseAddressSaysWhatWouldBeRight(t *testing.T) {
	const forms = "must be HOST:PORT, :PORT, tcp://HOST:PORT, http://HOST:PORT or unix:PATH"
	for _, c := range []struct{ in, says string }{
		{"", forms},
		{"9000", forms + "; did you mean :9000?"},
		{"tcp://9000", forms + "; did you mean tcp://:9000?"},
		{"localhost", forms + "; did you mean localhost:9000?"},
		{"http://localhost/", forms + "; did you mean http://localhost:9000?"},
		{"tcp://localhost/", forms},
		{"tcp://tcp", forms + "; did you mean tcp://tcp:9000?"},
		{"::1", forms + "; did you mean [::1]:9000?"},
		{"/run/hub", forms + "; did you mean unix:/run/hub?"},
		{"::1:9000", forms},
		{"[::1]", forms},
		{"[::1:9000", forms},
		{"udp://localhost:9000", forms},
		{"http://localhost:9000/path", "it must end after the port"},
		{"localhost:", "the port must be a number from 0 to 65535"},
		{"localhost:http", "the port must be a number from 0 to 65535"},
		{"localhost:-1", "the port must be a number from 0 to 65535"},
		{"localhost:+1", "the port must be a number from 0 to 65535"},
		{"localhost:65536", "the port must be a number from 0 to 65535"},
		{"local host:9000", `"local host" is no host name or IP address`},
		{"/run/hub:9000", `"/run/hub" is no host name or IP address`},
		{"unix:", "unix: must be followed by a path"},
		{"unix:a\x00b", "unix: must be followed by a path"},
		{"unix:" + strings.Repeat("x", maxPath+1), "a Unix socket's path must be at most"},
	} {
		_, err := ParseAddress(c.in)
		if err == nil || !strings.HasPrefix(err.Error(), "address ") || !strings.Contains(err.Error(), c.says) {
			t.Errorf("ParseAddress(%q): %v, want that it says %q", c.in, err, c.says)
		}
	}
}

// Whatever is read as an address is the same when it is read back.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{
		"localhost:9000", ":0", "[::1]:80", "tcp://[fe80::1%eth0]:1", "tcp://unix:1",
		"unix:/run/hub.sock", "unix:", "unix:@name", "x", "[", "tcp://", "a:65536", "\x00:1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		a, err := ParseAddress(in)
		if err != nil {
			if a != (Address{}) || !strings.Contains(err.Error(), "address ") {
				t.Fatalf("ParseAddress(%q) = %+v, %v", in, a, err)
			}
			return
		}
		back := a.String()
		if a.Path == "" {
			back = "tcp://" + back // there may be a host named unix
			a.Protocol = RawProtocol
		} else if len(a.Path) > maxPath || a.Host != "" || a.Port != 0 {
			t.Fatalf("ParseAddress(%q) = %+v", in, a)
		}
		if again, err := ParseAddress(back); err != nil || again != a {
			t.Fatalf("ParseAddress(%q) = %+v, which is %s, which reads as %+v, %v", in, a, back, again, err)
		}
	})
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
