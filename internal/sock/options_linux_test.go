package sock

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const tcpRTOMaxMS = 44 // Linux 6.15

// What a listener hands on is what need not be set on each client. This holds
// for TCP; a Unix socket's connection starts from the defaults.
func TestTCPConnectionsInheritFromTheirListener(t *testing.T) {
	for _, o := range []struct {
		name                 string
		level, number, value int
		since                string
	}{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1, ""},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1, ""},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 31, ""},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 7, ""},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4, ""},
		{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, 20_000, ""},
		{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, 30_000, ""},
		{"SO_DONTROUTE", unix.SOL_SOCKET, unix.SO_DONTROUTE, 1, ""},
		{"TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 128 << 10, ""},
		{"TCP_RTO_MAX_MS", unix.IPPROTO_TCP, tcpRTOMaxMS, 7000, "6.15"},
	} {
		t.Run(o.name, func(t *testing.T) {
			listener := stream(t, unix.AF_INET)
			err := unix.SetsockoptInt(listener, o.level, o.number, o.value)
			if o.since != "" && errors.Is(err, unix.ENOPROTOOPT) {
				t.Skip("this kernel is older than Linux " + o.since)
			}
			if err != nil {
				t.Fatal(err)
			}
			accepted := accept(t, listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
			want, _ := unix.GetsockoptInt(listener, o.level, o.number)
			got, err := unix.GetsockoptInt(accepted, o.level, o.number)
			if err != nil || got != want {
				t.Errorf("the connection has %d (%v), its listener %d", got, err, want)
			}
		})
	}
}

func TestLingerIsInherited(t *testing.T) {
	listener := stream(t, unix.AF_INET)
	set(t, listener, "SO_LINGER=9")
	accepted := accept(t, listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if got := get(t, accepted, "SO_LINGER"); got != "9" {
		t.Errorf("the connection has SO_LINGER %s, its listener 9", got)
	}
}

// On a Unix socket the buffers must be set on each client.
func TestUnixConnectionsInheritNothing(t *testing.T) {
	listener := stream(t, unix.AF_UNIX)
	for _, s := range []string{"SO_SNDBUF=20000", "SO_LINGER=9", "SO_KEEPALIVE=1"} {
		set(t, listener, s)
	}
	accepted := accept(t, listener, &unix.SockaddrUnix{Name: t.TempDir() + "/s"})
	fresh := stream(t, unix.AF_UNIX)
	for _, name := range []string{"SO_SNDBUF", "SO_LINGER", "SO_KEEPALIVE"} {
		if got, want := get(t, accepted, name), get(t, fresh, name); got != want {
			t.Errorf("the connection has %s %s, a fresh socket %s", name, got, want)
		}
	}
}

func TestLinuxGivesBackDouble(t *testing.T) {
	fd := stream(t, unix.AF_INET)
	for _, name := range []string{"SO_SNDBUF", "SO_RCVBUF"} {
		set(t, fd, name+"=50000")
		if got := get(t, fd, name); got != strconv.Itoa(2*50_000) {
			t.Errorf("%s=50000 reads as %s; the table says double", name, got)
		}
	}
}

// The table says that on Linux close waits even on a nonblocking socket.
func TestLingerHoldsCloseOfNonblockingSocket(t *testing.T) {
	listener := stream(t, unix.AF_INET)
	set(t, listener, "SO_RCVBUF=4096")
	fd := accept(t, listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	fill(t, fd)
	set(t, fd, "SO_LINGER=1")
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	// The last close is what waits: the test's cleanup closes fd again, by
	// then it must be another's.
	if err := unix.Dup3(devNull(t), fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_ = unix.Close(dup)
	if waited := time.Since(began); waited < 900*time.Millisecond {
		t.Errorf("close took %v, the table says that it waits for 1s", waited)
	}
}

func set(t *testing.T, fd int, setting string) {
	t.Helper()
	s, err := Parse(setting)
	if err == nil {
		err = s.Set(fd)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, fd int, name string) string {
	t.Helper()
	o, err := find(name)
	if err != nil {
		t.Fatal(err)
	}
	value, err := o.Get(fd)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// accept binds listener, connects to it and returns the accepted end.
func accept(t *testing.T, listener int, address unix.Sockaddr) int {
	t.Helper()
	if err := unix.Bind(listener, address); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(listener, 1); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(listener)
	if err != nil {
		t.Fatal(err)
	}
	family := unix.AF_INET
	if _, is := bound.(*unix.SockaddrUnix); is {
		family = unix.AF_UNIX
	}
	if err := unix.Connect(stream(t, family), bound); err != nil {
		t.Fatal(err)
	}
	fd, _, err := unix.Accept(listener)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// fill writes to fd until it takes no more.
func fill(t *testing.T, fd int) {
	t.Helper()
	for block := make([]byte, 64<<10); ; {
		if _, err := unix.Write(fd, block); errors.Is(err, unix.EAGAIN) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func devNull(t *testing.T) int {
	t.Helper()
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}
