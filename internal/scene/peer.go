package scene

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Peer is a client of the plainest kind, or the test's end of any connection.
// All it does is over in LongEnough.
type Peer struct {
	net.Conn
	T testing.TB
	R *bufio.Reader // what comes is read from here
}

// NewPeer returns the test's end of c. It closes with the test.
func NewPeer(t testing.TB, c net.Conn) *Peer {
	t.Helper()
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(LongEnough)); err != nil {
		t.Fatal(err)
	}
	return &Peer{Conn: c, T: t, R: bufio.NewReader(c)}
}

// Dial connects to HOST:PORT or unix:PATH.
func Dial(t testing.TB, address string) *Peer {
	t.Helper()
	return dialAs(t, address, nil)
}

func dialAs(t testing.TB, address string, prepare func(fd int) error) *Peer {
	t.Helper()
	c, err := Connect(address, prepare)
	if err != nil {
		t.Fatal(err)
	}
	return NewPeer(t, c)
}

// Connect is Dial for goroutines other than the test's own. prepare, if not
// nil, sets the socket up before it connects.
func Connect(address string, prepare func(fd int) error) (net.Conn, error) {
	d := net.Dialer{Timeout: LongEnough, KeepAlive: -1}
	if prepare != nil {
		d.Control = func(_, _ string, c syscall.RawConn) error {
			var err error
			return errors.Join(c.Control(func(fd uintptr) { err = prepare(int(fd)) }), err)
		}
	}
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	c, err := d.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(LongEnough))
}

// Says sends text.
func (p *Peer) Says(text string) {
	p.T.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		p.T.Fatal(err)
	}
}

// Hears waits for exactly this.
func (p *Peer) Hears(want string) {
	p.T.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(p.R, got)
	if string(got[:n]) != want {
		p.T.Fatalf("the peer got %s (%v), want %s", Brief(string(got[:n])), err, Brief(want))
	}
}

// HearsEnd waits for the end of file, and for nothing before it.
func (p *Peer) HearsEnd() {
	p.T.Helper()
	if rest, err := io.ReadAll(p.R); err != nil || len(rest) > 0 {
		p.T.Fatalf("the peer got %s (%v), want the end of file", Brief(string(rest)), err)
	}
}

// Done half-closes: nothing more will be sent.
func (p *Peer) Done() {
	p.T.Helper()
	if err := EndSending(p.Conn); err != nil {
		p.T.Fatal(err)
	}
}

// EndSending half-closes c.
func EndSending(c net.Conn) error {
	return c.(interface{ CloseWrite() error }).CloseWrite()
}

// Reset leaves with a reset, as a program does that is killed with input
// unread.
func (p *Peer) Reset() {
	p.T.Helper()
	if err := Reset(p.Conn); err != nil {
		p.T.Fatal(err)
	}
}

// Reset closes c with a reset.
func Reset(c net.Conn) error {
	if tcp, ok := c.(*net.TCPConn); ok {
		if err := tcp.SetLinger(0); err != nil {
			return err
		}
	}
	return c.Close()
}

// Descriptor returns the descriptor of c, to look at.
func Descriptor(c net.Conn) (int, error) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	err = raw.Control(func(at uintptr) { fd = int(at) })
	return fd, err
}
