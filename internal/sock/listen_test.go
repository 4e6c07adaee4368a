//go:build unix

package sock

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"hubbub.example/internal/scene"
)

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

// Port 0 is any free port, and the listener says which.
func TestListenOnAnyPort(t *testing.T) {
	l := listen(t, Address{Host: "127.0.0.1"})
	at, err := netip.ParseAddrPort(l.String())
	if err != nil || at.Addr() != loopback4 || at.Port() == 0 {
		t.Fatalf("listening on %q, %v", l, err)
	}
	dial(t, l)
	acceptFrom(t, l)
}

// A name with addresses of both families is served at both, on one port.
func TestBothFamiliesHaveOnePort(t *testing.T) {
	needIPv6(t)
	ls := listenOn(t, loopback4, loopback6)
	if len(ls) != 2 || portOf(ls[0]) != portOf(ls[1]) {
		t.Fatalf("listening on %v", ls)
	}
	for _, l := range ls {
		dial(t, l)
		acceptFrom(t, l)
	}
}

// The port that one family has chosen may be somebody's in the other: then
// another is chosen.
func TestPortTakenInOtherFamilyIsChosenAgain(t *testing.T) {
	needIPv6(t)
	var first int
	var blocker []*Listener
	ls, err := listenAll([]netip.Addr{loopback4, loopback6}, 0, Config{Set: func(fd int, _ bool) error {
		switch {
		case first == 0:
			first = fd
		case blocker == nil: // the other family's: its port is known
			sa, err := unix.Getsockname(first)
			if err != nil {
				return err
			}
			blocker, err = listenAll([]netip.Addr{loopback6}, fromSockaddr(sa).port, Config{})
			return err
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	closeAll(t, blocker)
	closeAll(t, ls)
	if len(ls) != 2 || portOf(ls[0]) != portOf(ls[1]) || portOf(ls[0]) == portOf(blocker[0]) {
		t.Errorf("listening on %v beside %v", ls, blocker)
	}
}

// An address of a name that this host does not have is passed over.
func TestMissingAddressIsPassedOver(t *testing.T) {
	elsewhere := netip.MustParseAddr("192.0.2.1")
	for _, ips := range [][]netip.Addr{{elsewhere, loopback4}, {loopback4, elsewhere}} {
		if ls := listenOn(t, ips...); len(ls) != 1 || !strings.HasPrefix(ls[0].String(), "127.0.0.1:") {
			t.Errorf("listening on %v", ls)
		}
	}
	_, err := Listen(t.Context(), Address{Host: "192.0.2.1"}, Config{})
	if want := "listen tcp 192.0.2.1:0: bind: " + unix.EADDRNOTAVAIL.Error(); err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
}

// No host is every address, of both families.
func TestNoHostIsEveryAddress(t *testing.T) {
	l := listen(t, Address{})
	hosts := []string{"127.0.0.1"}
	if hasIPv6() {
		hosts = append(hosts, "::1")
	}
	for _, host := range hosts {
		dialAt(t, "tcp", net.JoinHostPort(host, portOf(l)))
		acceptFrom(t, l)
	}
}

// One IPv6 address leaves the same port of IPv4 to others.
func TestOneFamilyLeavesTheOther(t *testing.T) {
	needIPv6(t)
	l := listen(t, Address{Host: "::1"})
	port, _ := strconv.ParseUint(portOf(l), 10, 16)
	listen(t, Address{Host: "127.0.0.1", Port: uint16(port)})
}

// An IPv4 address in IPv6's clothes is an IPv4 address.
func TestMappedAddressIsIPv4(t *testing.T) {
	if l := listen(t, Address{Host: "::ffff:127.0.0.1"}); !strings.HasPrefix(l.String(), "127.0.0.1:") {
		t.Errorf("listening on %s", l)
	}
}

// The address, the call and the system's words; and nothing stays open.
func TestTakenPortSaysSo(t *testing.T) {
	taken := portOf(listen(t, Address{Host: "127.0.0.1"}))
	port, _ := strconv.ParseUint(taken, 10, 16)
	before := descriptors(t)
	ls, err := Listen(t.Context(), Address{Host: "127.0.0.1", Port: uint16(port)}, Config{})
	if want := "listen tcp 127.0.0.1:" + taken + ": bind: address already in use"; err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
	if len(ls) != 0 || descriptors(t) != before {
		t.Errorf("%d listeners, %d descriptors, before %d", len(ls), descriptors(t), before)
	}
}

// What cannot be had on one address is had on none: the first is closed again.
func TestListenOnAllOrNone(t *testing.T) {
	needIPv6(t)
	port, _ := strconv.ParseUint(portOf(listen(t, Address{Host: "::1"})), 10, 16)
	before := descriptors(t)
	ls, err := listenAll([]netip.Addr{loopback4, loopback6}, uint16(port), Config{})
	if !errors.Is(err, unix.EADDRINUSE) || len(ls) != 0 {
		t.Errorf("listening on %v: %v", ls, err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}

// What Set says is the error, and nothing stays open.
func TestSetErrorEndsListen(t *testing.T) {
	no := errors.New("no")
	for _, a := range []Address{{Host: "127.0.0.1"}, {Path: t.TempDir() + "/hub"}} {
		before := descriptors(t)
		_, err := Listen(t.Context(), a, Config{Set: func(_ int, isUnix bool) error {
			if isUnix != (a.Path != "") {
				t.Errorf("%s: isUnix is %v", a, isUnix)
			}
			return no
		}})
		if !errors.Is(err, no) || !strings.Contains(err.Error(), a.Host+a.Path) {
			t.Errorf("%s: the error is %v", a, err)
		}
		if after := descriptors(t); after != before {
			t.Errorf("%s: %d descriptors, before %d", a, after, before)
		}
	}
}

// A name that cannot be looked up is named, and the look-up ends with its context.
func TestLookUpEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Listen(ctx, Address{Host: "nobody.invalid", Port: 9000}, Config{})
	if err == nil || !strings.HasPrefix(err.Error(), "listen tcp nobody.invalid:9000: ") {
		t.Errorf("the error is %v", err)
	}
}

// A server that starts again finds its port, though a connection of the one
// before is still in TIME_WAIT.
func TestPortIsFreeAtOnce(t *testing.T) {
	a := Address{Host: "127.0.0.1"}
	ls, err := Listen(t.Context(), a, Config{})
	if err != nil {
		t.Fatal(err)
	}
	conn := dial(t, ls[0])
	fd, _ := acceptFrom(t, ls[0])
	// Who ends first waits.
	if err := EndSending(fd); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	awaitInput(t, fd)
	port, _ := strconv.ParseUint(portOf(ls[0]), 10, 16)
	if err := ls[0].Close(); err != nil {
		t.Fatal(err)
	}
	a.Port = uint16(port)
	listen(t, a)
}

// listen listens on the one socket that a means.
func listen(t *testing.T, a Address) *Listener {
	t.Helper()
	return listenWith(t, a, Config{UnixMode: 0o600})
}

func listenWith(t *testing.T, a Address, c Config) *Listener {
	t.Helper()
	if a.Host == "::1" {
		needIPv6(t)
	}
	ls, err := Listen(t.Context(), a, c)
	if err != nil {
		t.Fatal(err)
	}
	closeAll(t, ls)
	if len(ls) != 1 {
		t.Fatalf("%s means %v, want one", a, ls)
	}
	return ls[0]
}

func listenOn(t *testing.T, ips ...netip.Addr) []*Listener {
	t.Helper()
	ls, err := listenAll(ips, 0, Config{})
	if err != nil {
		t.Fatal(err)
	}
	closeAll(t, ls)
	return ls
}

func closeAll(t *testing.T, ls []*Listener) {
	t.Cleanup(func() {
		for _, l := range ls {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func portOf(l *Listener) string {
	_, port, _ := net.SplitHostPort(l.String())
	return port
}

// dial connects to l, as any program would.
func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	if path, is := strings.CutPrefix(l.String(), "unix:"); is {
		return dialAt(t, "unix", path)
	}
	at, err := netip.ParseAddrPort(l.String())
	if err != nil {
		t.Fatal(err)
	}
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(loopback4, at.Port())
	}
	return dialAt(t, "tcp", at.String())
}

func dialAt(t *testing.T, network, address string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout(network, address, scene.LongEnough)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(scene.LongEnough)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// acceptFrom waits for a connection and takes it.
func acceptFrom(t *testing.T, l *Listener) (int, Addr) {
	t.Helper()
	awaitInput(t, l.FD)
	fd, addr, err := Accept(l.FD)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd, addr
}

// awaitInput waits until fd is readable.
func awaitInput(t *testing.T, fd int) {
	t.Helper()
	awaitReady(t, fd, unix.POLLIN)
}

func awaitReady(t *testing.T, fd int, events int16) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		n, err := unix.Poll(fds, int(scene.LongEnough.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			t.Fatalf("poll: %d, %v", n, err)
		}
		return
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

func needIPv6(t *testing.T) {
	t.Helper()
	if !hasIPv6() {
		t.Skip("no IPv6 on this machine")
	}
}

// descriptors returns how many the process has open.
func descriptors(t *testing.T) (n int) {
	t.Helper()
	for fd := range 1000 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}
