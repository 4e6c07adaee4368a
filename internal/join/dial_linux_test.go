package join

import (
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hubbub.example/internal/scene"
)

// hang is an address that neither accepts nor refuses: its accept queue is
// full, and Linux drops what more comes.
func hang(t *testing.T, ip [4]byte, port int) {
	t.Helper()
	fd := streamSocket(t, syscall.AF_INET)
	address := &syscall.SockaddrInet4{Addr: ip, Port: port}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, address); err != nil {
		t.Fatal(err)
	}
	fillQueue(t, fd, address)
}

// fillQueue makes fd listen, and connects to it until nobody more can.
func fillQueue(t *testing.T, fd int, address syscall.Sockaddr) {
	t.Helper()
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	family := syscall.AF_INET
	if _, is := address.(*syscall.SockaddrUnix); is {
		family = syscall.AF_UNIX
	}
	for range 4 { // a queue of 0 holds one; what does not fit hangs or is refused
		c := streamSocket(t, family)
		if err := syscall.SetNonblock(c, true); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Connect(c, address); err != nil && err != syscall.EINPROGRESS && err != syscall.EAGAIN {
			t.Fatal(err)
		}
	}
}

func streamSocket(t *testing.T, family int) int {
	t.Helper()
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	return fd
}

// One address refuses, one hangs, one answers: the one that answers is reached,
// and soon. (net.Dialer alone gives the one that hangs its share of the
// timeout, here 200 s.)
func TestJoinTriesEveryAddress(t *testing.T) {
	t.Parallel()
	for _, list := range []string{
		"127.0.0.2 127.0.0.3 127.0.0.1",
		"127.0.0.3 127.0.0.2 127.0.0.1",
		"127.0.0.1 127.0.0.3 127.0.0.2",
		"::1 127.0.0.3 127.0.0.1", // on ::1 nobody listens, if it is there at all
	} {
		t.Run(list, func(t *testing.T) {
			s := listen(t, "127.0.0.1:0")
			at := s.Addr().(*net.TCPAddr)
			_, port, _ := strings.Cut(at.String(), ":")
			hang(t, [4]byte{127, 0, 0, 3}, at.Port)
			began := time.Now()
			j := startAt(t, named(Options{Dialer: Dialer{ConnectTimeout: 10 * time.Minute}}, port, list))
			s.accept().Says("here\n")
			j.stdout.Until(t, "here\n")
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestConnectTimeoutBoundsAllAddresses(t *testing.T) {
	t.Parallel()
	s := listen(t, "127.0.0.1:0")
	at := s.Addr().(*net.TCPAddr)
	_, port, _ := strings.Cut(at.String(), ":")
	hang(t, [4]byte{127, 0, 0, 3}, at.Port)
	hang(t, [4]byte{127, 0, 0, 4}, at.Port)
	began := time.Now()
	j := startAt(t, named(Options{Dialer: Dialer{ConnectTimeout: 300 * time.Millisecond}}, port, "127.0.0.3 127.0.0.4"))
	j.failsWith("i/o timeout")
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

// twins listen at two addresses with one port, which on the second somebody
// may have: then it is another.
func twins(t *testing.T) (one, other *server) {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		second, err := net.Listen("tcp", "127.0.0.2:"+port(l.Addr().(*net.TCPAddr)))
		if err == nil {
			t.Cleanup(func() { _, _ = l.Close(), second.Close() })
			return &server{t, l}, &server{t, second}
		}
		_ = l.Close()
	}
	t.Fatal("no port is free at both addresses")
	return nil, nil
}

// The race's losers are not left connected.
func TestOnlyOneConnectionIsKept(t *testing.T) {
	t.Parallel()
	s, other := twins(t)
	at := s.Addr().(*net.TCPAddr)
	var open atomic.Int32
	o := named(Options{}, port(at), "127.0.0.1 127.0.0.2")
	both := make(chan struct{})
	o.Control = func(_, _ string, _ syscall.RawConn) error {
		if open.Add(1) == 2 {
			close(both)
		}
		<-both // both connect, together
		return nil
	}
	j := startAt(t, o)
	first, second := s.accept(), other.accept()
	j.log.Until(t, "connected to")
	ends := make(chan *peer, 2)
	for _, p := range []*peer{first, second} {
		go func() {
			_, _ = p.R.ReadByte()
			ends <- p
		}()
	}
	kept := first
	if <-ends == first {
		kept = second
	}
	kept.Says("kept\n")
	j.stdout.Until(t, "kept\n")
}

func port(a *net.TCPAddr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

// A Unix socket whose accept queue is full says EAGAIN: that means later.
func TestFullQueueOfUnixSocketMeansLater(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/s"
	fd := streamSocket(t, syscall.AF_UNIX)
	address := &syscall.SockaddrUnix{Name: path}
	if err := syscall.Bind(fd, address); err != nil {
		t.Fatal(err)
	}
	fillQueue(t, fd, address)
	tried := make(chan struct{}, 1000)
	j := startAt(t, Options{
		Dialer: Dialer{
			Address: Address{Path: path},
			Control: func(_, _ string, _ syscall.RawConn) error {
				tried <- struct{}{}
				return nil
			},
		},
	})
	for range 3 { // it has been told EAGAIN at least twice
		select {
		case <-tried:
		case <-time.After(scene.LongEnough):
			t.Fatal("it does not try again")
		}
	}
	dup, err := syscall.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(dup), path)
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("here\n"))
		}
	}()
	j.stdout.Until(t, "here\n")
}
